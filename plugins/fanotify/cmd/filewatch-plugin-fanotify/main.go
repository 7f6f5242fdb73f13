// Command filewatch-plugin-fanotify is the fanotify watcher as a plugin of its own.
package main

import (
	"github.com/filewatch/filewatch/plugins/fanotify"
	"github.com/filewatch/filewatch/sdk"
)

func main() { sdk.Serve(fanotify.Plugin()) }
