package rsync

import (
	"fmt"
	"strings"

	"github.com/filewatch/filewatch/sdk"
)

const schemeDaemon = "rsync"

// checkEndpoint says why rsync cannot transfer to e, or "".
func checkEndpoint(e sdk.Endpoint) string {
	switch e.Scheme {
	case sdk.SchemeLocal:
		if !strings.HasPrefix(e.Path, "/") {
			return "A path on this machine must be absolute here."
		}
		return checkBytes("path", e.Path)
	case sdk.SchemeSSH, schemeDaemon:
	default:
		return fmt.Sprintf("rsync reaches local paths, host:path (ssh) and rsync://host/module, but not %s://.", e.Scheme)
	}
	switch {
	case e.Host == "":
		return "The host is missing."
	case strings.ContainsAny(e.Host, "/@[] \t"):
		return fmt.Sprintf("%q is not the name of a host.", e.Host)
	// ssh would take it for an option.
	case strings.HasPrefix(e.Host, "-") || strings.HasPrefix(e.User, "-"):
		return "Neither the user nor the host may begin with \"-\"."
	case strings.ContainsAny(e.User, "@:/ \t"):
		return fmt.Sprintf("%q is not the name of a user.", e.User)
	case e.Scheme == schemeDaemon && strings.Trim(e.Path, "/") == "":
		return "The daemon's module is missing: write rsync://host/module/path."
	}
	if p := remotePath(e.Path); e.Scheme == sdk.SchemeSSH && strings.HasPrefix(p, "~") {
		return "Not every rsync expands another user's \"~\": write the path in full."
	}
	// Quoting does not help: rsync itself expands them at the far end.
	if strings.ContainsAny(e.Path, "*?[") {
		return "rsync at the far end would expand \"*\", \"?\" and \"[\" in the path to whatever is there: choose a path without them."
	}
	for _, part := range []struct{ name, value string }{{"host", e.Host}, {"user", e.User}, {"path", e.Path}} {
		if text := checkBytes(part.name, part.value); text != "" {
			return text
		}
	}
	return ""
}

func checkBytes(name, value string) string {
	if strings.ContainsAny(value, "\x00\n\r") {
		return fmt.Sprintf("The %s of the destination holds a line break or a NUL byte.", name)
	}
	return ""
}

// target returns the destination argument. It ends in "/": the contents of the root go into it.
func target(e sdk.Endpoint) string {
	switch e.Scheme {
	case sdk.SchemeLocal:
		return withSlash(e.Path)
	case schemeDaemon:
		return withSlash(e.String())
	}
	e.Path = withSlash(remotePath(e.Path))
	return e.String()
}

// remotePath returns a path of an ssh destination without "~" for the home directory, where the remote
// side starts anyway: not every way to hand over a path expands it.
func remotePath(path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		path = strings.TrimLeft(rest, "/")
	}
	if path == "" {
		return "."
	}
	return path
}

func withSlash(path string) string {
	if strings.HasSuffix(path, "/") {
		return path
	}
	return path + "/"
}

// plainPath reports whether a remote shell leaves path alone.
func plainPath(path string) bool {
	for i := range len(path) {
		c := path[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			continue
		}
		if !strings.ContainsRune("/._-+,:@%=", rune(c)) {
			return false
		}
	}
	return true
}
