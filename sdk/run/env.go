package run

import (
	"os"
	"strings"
)

// Environ returns the environment of this process without what filewatch and go-plugin put there for
// the plugin alone: FILEWATCH_* (the handshake cookie, the run directory) and PLUGIN_* (versions, the
// TLS certificate).
func Environ() []string {
	var env []string
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "FILEWATCH_") || strings.HasPrefix(kv, "PLUGIN_") {
			continue
		}
		env = append(env, kv)
	}
	return env
}
