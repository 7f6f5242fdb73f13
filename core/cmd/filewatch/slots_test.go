package main

import (
	"strings"
	"testing"
)

// With max_transfers, status says who waits for whom, and everybody has a turn.
func TestMaxTransfersIsTold(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	other, copied := dirs(t)
	slow := localSync("slow", source, destination, `transport "rsync" { bwlimit = "1M" }`)
	d := startDaemon(t, "max_transfers = 1\n"+slow+localSync("other", other, copied, ""))
	d.flushed(t)
	shell(t, source, "head -c 3000000 /dev/urandom > big")
	d.transferring(t, destination)
	shell(t, other, "echo new > new")
	eventually(t, "status says who waits", func() bool { return d.status("other").Waits })
	if d.status("slow").Waits {
		t.Error("who is at work waits, too")
	}
	if text := d.do("status", "other"); !strings.Contains(text, "max_transfers") {
		t.Errorf("status says %q", text)
	}
	d.flushed(t)
	if d.status("other").Waits {
		t.Error("it waits for nothing")
	}
	same(t, source, destination)
	same(t, other, copied)
}
