package fanotify

import (
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

// TestOracle runs the random tree oracle. Nothing is compared as a whole without need.
func TestOracle(t *testing.T) {
	watchertest.Oracle{
		Watch: func(seed uint64) (watchertest.Backend, bool) {
			tn := quick()
			lossy := seed%5 == 0
			if lossy {
				tn.queueLimit = 4000 // some fifty events, so that many are lost
			}
			return tn.watch, lossy
		},
		Quiet: func(w *watchertest.Watched, _ []string, rescans int, lossy bool) {
			if rescans > 0 && !lossy {
				w.T.Error("needless comparison of everything")
			}
		},
	}.Run(t, 20)
}
