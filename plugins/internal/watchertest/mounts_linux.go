package watchertest

import (
	"testing"

	"golang.org/x/sys/unix"
)

// MountsBeforeBarrier checks that a barrier proves what was mounted and unmounted before it, too, however late
// the watcher is woken for that. The test needs mounts of its own; see isolate.
func MountsBeforeBarrier(t *testing.T, b Backend) {
	LeakCheck(t)
	a := NewArea(t)
	a.Mkdir("d/m/under")
	w := Start(t, b, a.Root)
	w.Prove()
	for range 100 {
		mark := w.Mark()
		Must(t, unix.Mount("none", a.Path("d/m"), "tmpfs", 0, ""))
		a.Write("d/m/f")
		w.Prove()
		w.Covered(mark, "d/m/f", "d/m/under")

		mark = w.Mark()
		Must(t, unix.Unmount(a.Path("d/m"), 0))
		w.Prove()
		w.Covered(mark, "d/m/f", "d/m/under")
	}
	Must(t, w.End())
}
