package main

import "testing"

// What a killed rsync has left at the destination is gone by the time that it says "in sync".
func TestLeftoversAreSwept(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	d := startDaemon(t, localSync("s", source, destination, `transport "rsync" { bwlimit = "1000" }`))
	d.flushed(t)
	shell(t, source, "head -c 1000000 /dev/urandom > big")
	d.transferring(t, destination)
	killReceiver(t, d, destination)
	d.flushed(t)
	same(t, source, destination)
}
