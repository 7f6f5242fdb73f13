// Command filewatch-plugin-rsync is the transport plugin over rsync(1).
package main

import (
	"github.com/filewatch/filewatch/plugins/rsync"
	"github.com/filewatch/filewatch/sdk"
)

func main() { sdk.Serve(rsync.Plugin()) }
