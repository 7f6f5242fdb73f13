package watch

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// The periodic comparison is no doubt: it is told apart.
func TestPeriodicIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startFakes(t)
		w.main.Ready()
		w.take()
		told := 0
		r := New(Config{Watcher: newFake(), Rescan: time.Hour, Change: w.add, Periodic: func() { told++ }, Logger: hclog.NewNullLogger()})
		r.mu.Lock()
		r.unwatched = nil
		r.mu.Unlock()
		go r.rescan(t.Context())
		time.Sleep(10 * time.Hour)
		w.expect("by the time")
		if told < 7 || told > 14 {
			t.Errorf("told %d times", told)
		}
	})
}
