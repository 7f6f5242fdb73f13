package transfer

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filewatch/filewatch/core/internal/mounts"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
)

// extra is a transport that has so many entries too many at its destination.
func extra(n *atomic.Uint64, entries uint64) func(context.Context, int, sdk.SyncRequest) (sdk.Result, error) {
	return func(_ context.Context, _ int, req sdk.SyncRequest) (sdk.Result, error) {
		r := sdk.Result{}
		if req.Changes[0] == everything {
			r.Entries = entries
		}
		switch {
		case !req.Delete || req.DryRun:
		case req.MaxDelete > 0 && n.Load() > req.MaxDelete:
			r.Withheld = sdk.Withheld{Count: n.Load(), Sample: []string{"x"}}
		default:
			r.Deleted = n.Swap(0)
		}
		return r, nil
	}
}

func TestTooManyDeletionsAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Uint64
		f := start(t, extra(&n, 1000))
		f.Add(everything)
		synctest.Wait()
		n.Store(600)
		f.Add(everything)
		synctest.Wait()
		r := f.Report()
		if r.State != status.Held || r.Hold == nil || r.Hold.Kind != "deletions" || !strings.Contains(r.Hold.Text, "600") {
			t.Fatalf("report %+v, hold %+v", r, r.Hold)
		}
		if n.Load() != 600 {
			t.Fatalf("%d deleted", 600-n.Load())
		}
		if f.log.count("deletions are held") != 1 {
			t.Errorf("log: %s", f.log.b.String())
		}
		// All else goes on, without deletions.
		f.Add(sdk.Change{Path: "a"})
		if last := f.transport.last(); last.Delete || last.Changes[0].Path != "a" {
			t.Errorf("sent %+v", last)
		}
		if f.log.count("in sync") != 1 {
			t.Errorf("in sync was said during the hold: %s", f.log.b.String())
		}
		if err := f.Flush(t.Context()); err == nil {
			t.Error("flushed during the hold")
		}
		// Approved once, and only once.
		if f.ApproveDeletions() == nil {
			t.Error("there was nothing to approve")
		}
		synctest.Wait()
		if n.Load() != 0 || f.Report().Hold != nil {
			t.Errorf("%d left, hold %+v", n.Load(), f.Report().Hold)
		}
		n.Store(600)
		f.Add(everything)
		synctest.Wait()
		if f.Report().State != status.Held {
			t.Error("the approval held for the next ones too")
		}
	})
}

func TestHoldEndsWhenTheSourceIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Uint64
		n.Store(600)
		f := start(t, extra(&n, 1000))
		f.Add(everything)
		synctest.Wait()
		if f.Report().State != status.Held {
			t.Fatal("not held")
		}
		n.Store(3)
		time.Sleep(heldAgain + time.Second)
		synctest.Wait()
		if r := f.Report(); r.State != status.InSync || n.Load() != 0 {
			t.Errorf("state %q, %d left", r.State, n.Load())
		}
	})
}

// The first comparison tells how large the source is.
func TestFirstComparisonMayDeleteWhatTheSizeAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Uint64
		n.Store(400)
		f := start(t, extra(&n, 1000))
		f.Add(everything)
		equal(t, f.transport.paths(), [][]string{{"./"}, {"./"}})
		if r := f.Report(); r.State != status.InSync || n.Load() != 0 {
			t.Errorf("state %q, %d left", r.State, n.Load())
		}
	})
}

// One rm -r of nearly everything comes in many batches.
func TestManySmallDeletionsAreOneLargeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Uint64
		f := start(t, extra(&n, 1000))
		f.transport.lists = func(sdk.SyncRequest) []sdk.Difference {
			return []sdk.Difference{{Path: "x", Kind: sdk.Extra}}[:min(n.Load(), 1)]
		}
		f.Add(everything)
		synctest.Wait()
		deleted := 0
		for range 900 {
			n.Add(1)
			f.Add(sdk.Change{Path: "x", Ops: sdk.OpRemove})
			synctest.Wait()
			if n.Load() == 0 {
				deleted++
			}
			time.Sleep(100 * time.Millisecond)
		}
		if deleted != 500 {
			t.Errorf("%d deleted, want 500 of 1000", deleted)
		}
		if f.Report().State != status.Held {
			t.Errorf("state %q", f.Report().State)
		}
	})
}

// fakeMounts are the subtrees that a test holds.
type fakeMounts struct{ held atomic.Pointer[[]mounts.Hold] }

func (m *fakeMounts) Held() []mounts.Hold {
	if held := m.held.Load(); held != nil {
		return *held
	}
	return nil
}

// A mount that comes during a transfer makes what it hides look deleted.
func TestTransferBeginsAgainWhenAMountComes(t *testing.T) {
	for _, name := range []string{"it is interrupted", "it ends before"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				f := start(t, func(ctx context.Context, n int, _ sdk.SyncRequest) (sdk.Result, error) {
					if n == 1 {
						select {
						case <-release:
						case <-ctx.Done():
							return sdk.Result{}, ctx.Err()
						}
					}
					return sdk.Result{}, nil
				})
				f.Add(everything)
				synctest.Wait()
				f.mounts.held.Store(&[]mounts.Hold{{Path: "d", Reason: "a tmpfs is mounted over it"}})
				if name == "it ends before" {
					close(release)
				} else {
					f.Interrupt()
				}
				equal(t, f.transport.paths(), [][]string{{"./"}, {"./"}})
				if last := f.transport.last(); len(last.Exclude) != 1 || last.Exclude[0] != "/d" {
					t.Errorf("excluded %q", last.Exclude)
				}
				if r := f.Report(); r.State != status.Held || r.Away != nil || f.log.count("in sync") != 0 {
					t.Errorf("state %q, away %v, log %s", r.State, r.Away, f.log.b.String())
				}
			})
		})
	}
}
