package poll

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
)

// TestLingering: what its server no longer has is told of once more when the kernel has forgotten it too, and a
// barrier waits for that, but not for what begins to linger later.
func TestLingering(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	a.Write("d/f", "d/g", "d/h")
	tr, r := mustTree(t, a.Root)
	cached := map[string]bool{}
	gone := func(name []byte) bool {
		return cached[string(name[bytes.LastIndexByte(name, '/')+1:len(name)-1])]
	}
	tr.system.remote = func(folder) bool { return true }
	tr.system.look = func(f folder, name []byte, e *entry, fresh bool) error {
		err := kernel.look(f, name, e, fresh)
		if err == unix.ENOENT && !fresh && gone(name) {
			return nil
		}
		return err
	}
	settle(t, tr, r)

	cached["f"] = true
	a.Remove("d/f")
	o := mustPass(t, tr, false)
	named(t, r.take(), "d/f", sdk.ScopePath)
	first := o.lingers
	if first.IsZero() {
		t.Error("it does not linger")
	}
	cached["g"] = true
	a.Remove("d/g")
	if o = mustPass(t, tr, false); !o.lingers.Equal(first) {
		t.Errorf("something lingers since %v, want %v", o.lingers, first)
	}
	named(t, r.take(), "d/g", sdk.ScopePath)
	cached["f"] = false
	second := tr.settle()
	named(t, r.take(), "d/f", sdk.ScopePath)
	if !second.After(first) {
		t.Errorf("something lingers since %v, want a time after %v", second, first)
	}
	a.Write("d/g") // it is there again
	if since := tr.settle(); !since.IsZero() {
		t.Errorf("something lingers since %v", since)
	}
	named(t, r.take(), "d/g", sdk.ScopePath)
}

// TestLingeringMany: what is too much to be looked at one by one is compared as a whole.
func TestLingeringMany(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	for i := range maxLingering + 1 {
		a.Write(fmt.Sprint("d/", i))
	}
	tr, r := mustTree(t, a.Root)
	tr.system.remote = func(folder) bool { return true }
	settle(t, tr, r)
	a.Remove("d")
	a.Mkdir("d")
	tr.system.look = func(f folder, name []byte, e *entry, fresh bool) error {
		if err := kernel.look(f, name, e, fresh); err != unix.ENOENT || fresh {
			return err
		}
		return nil
	}
	o := mustPass(t, tr, false)
	if changes := r.take(); !slices.ContainsFunc(changes, watchertest.Whole) {
		t.Errorf("%d changes, none of everything", len(changes))
	}
	if !o.lingers.IsZero() || len(tr.lingering) > 0 {
		t.Errorf("%d names linger", len(tr.lingering))
	}
}

func TestBarrierWaitsForWhatLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		// Something lingers for a second, and something else all the time, but what does is not the same for long.
		lingers := func() time.Time {
			now := time.Now()
			if now.Sub(begin) < 3*time.Second {
				return begin.Add(500 * time.Millisecond)
			}
			return now.Add(-50 * time.Millisecond)
		}
		barriers := make(chan sdk.Barrier)
		w := watch{
			reporter: newRecorder(),
			progress: func() uint64 { return 0 },
			barriers: barriers,
			pace:     pace{interval: time.Hour, load: 1},
			settle:   lingers,
			pass: func(context.Context, bool) (outcome, error) {
				return outcome{complete: true, lingers: lingers()}, nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.run(ctx) }()
		time.Sleep(time.Second)
		reached := make(chan struct{})
		barriers <- sdk.NewBarrier(func() { close(reached) })
		<-reached
		if after := time.Since(begin); after < 3*time.Second || after > 4*time.Second {
			t.Errorf("the barrier was reached after %v, want 3 s", after)
		}
		cancel()
		watchertest.Must(t, <-ended)
	})
}
