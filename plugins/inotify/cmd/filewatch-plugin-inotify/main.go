// Command filewatch-plugin-inotify is the inotify watcher as a plugin of its own.
package main

import (
	"github.com/filewatch/filewatch/plugins/inotify"
	"github.com/filewatch/filewatch/sdk"
)

func main() { sdk.Serve(inotify.Plugin()) }
