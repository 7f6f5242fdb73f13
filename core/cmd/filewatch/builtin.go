package main

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/filewatch/filewatch/plugins/fanotify"
	"github.com/filewatch/filewatch/plugins/inotify"
	"github.com/filewatch/filewatch/plugins/poll"
	"github.com/filewatch/filewatch/plugins/rsync"
	"github.com/filewatch/filewatch/sdk"
)

// builtins are the plugins inside this binary. Each runs as a process of its own: filewatch starts
// itself again as `filewatch plugin NAME`.
var builtins = map[string]func() sdk.Plugin{
	"fanotify": fanotify.Plugin,
	"inotify":  inotify.Plugin,
	"poll":     poll.Plugin,
	"rsync":    rsync.Plugin,
}

func builtinNames() []string { return slices.Sorted(maps.Keys(builtins)) }

// servePlugin is the main function of a built-in plugin's process.
func servePlugin(name string) int {
	plugin, ok := builtins[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "filewatch: there is no built-in plugin %q\n", name)
		return exitUsage
	}
	sdk.Serve(plugin())
	return exitOK
}
