package pluginhost

import (
	"slices"
	"strings"
)

// passed are the variables that a plugin inherits: what ssh, rsync and the C library need to find
// their files and speak the right language. Everything else of the daemon's environment, secrets
// included, stays here.
var passed = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR",
	"SSH_AUTH_SOCK", "KRB5CCNAME", "XDG_RUNTIME_DIR",
}

// inherited returns the part of an environment that a plugin may see.
func inherited(environ []string) []string {
	var env []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if slices.Contains(passed, name) || strings.HasPrefix(name, "LC_") {
			env = append(env, kv)
		}
	}
	return env
}
