// Command filewatch-plugin-poll is the polling watcher as a plugin of its own.
package main

import (
	"github.com/filewatch/filewatch/plugins/poll"
	"github.com/filewatch/filewatch/sdk"
)

func main() { sdk.Serve(poll.Plugin()) }
