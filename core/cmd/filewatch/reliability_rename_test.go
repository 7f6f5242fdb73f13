package main

import (
	"fmt"
	"testing"
)

// Renames inside the source send no content, from the watcher to the far end.
func TestRenames(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	const size = 32 << 20
	shell(t, source, fmt.Sprintf("mkdir -p big/sub other live; head -c %d /dev/urandom > big/sub/a; head -c %d /dev/urandom > live/b; head -c 4000000 /dev/urandom > log", size/2, size/2))
	config, p := overProxy(t, source, destination, "", "")
	d := startDaemon(t, config)
	d.flushed(t)
	for _, what := range []string{
		"mv big moved",
		"mv moved other/moved",
		"mv other/moved x && mv x y && mv y big",
		"mv live old && mv big live",
		"mv live/sub sub && mv old live",
		"mv log log.1 && echo new > log",
		"mv log.1 log.2 && mv log log.1 && echo new > log",
	} {
		before := p.Passed()
		// Together, however slow the machine is: what is under way when the next rename comes is sent.
		d.do("pause", "s")
		shell(t, source, what)
		d.do("resume", "s")
		d.do("flush", "-timeout", "1m")
		same(t, source, destination)
		if n := p.Passed() - before; n > size/100 {
			t.Errorf("%s: %d bytes on the wire, at most 1%% of %d may be", what, n, size)
		}
	}
}
