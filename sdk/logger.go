package sdk

import (
	"context"
	"os"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/sdk/wire"
)

// Logger returns the logger for the call that ctx belongs to. Its lines appear in filewatch's own log
// with their level, the plugin's name and the sync block.
func Logger(ctx context.Context) hclog.Logger { return hclog.FromContext(ctx) }

// newLogger writes the lines that filewatch reads. It must be made before the plugin is served, for
// serving redirects os.Stderr.
func newLogger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Level:      hclog.LevelFromString(os.Getenv(wire.EnvLogLevel)),
		Output:     os.Stderr,
		JSONFormat: true,
	})
}
