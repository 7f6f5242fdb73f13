package transfer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filewatch/filewatch/core/internal/guard"
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
		if f.ApproveDeletions(false) == nil {
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

// A batch that fails each time after it has deleted what it may does not delete everything in the end.
func TestDeletionsOfCallsThatFailCount(t *testing.T) {
	for _, scope := range []sdk.Scope{sdk.ScopePath, sdk.ScopeSubtree} {
		synctest.Test(t, func(t *testing.T) {
			var left atomic.Uint64
			var cut atomic.Bool
			f := start(t, func(_ context.Context, _ int, req sdk.SyncRequest) (sdk.Result, error) {
				switch {
				case cut.Load():
					return sdk.Result{}, sdk.Unavailable(errors.New("the connection was cut"))
				case left.Load() > 0 && req.Delete && req.MaxDelete > 0:
					return sdk.Result{Withheld: sdk.Withheld{Count: left.Load()}}, nil
				}
				return sdk.Result{Entries: 1000}, nil
			})
			f.transport.lists = func(sdk.SyncRequest) []sdk.Difference {
				return []sdk.Difference{{Path: "x", Kind: sdk.Extra}}[:min(left.Load(), 1)]
			}
			f.transport.tells = func(req sdk.SyncRequest) sdk.Progress {
				if !req.Delete || req.DryRun || !cut.Load() {
					return sdk.Progress{}
				}
				n := min(left.Load(), 100, req.MaxDelete)
				left.Add(-n)
				return sdk.Progress{Deleted: n, Created: 0}
			}
			f.Add(everything)
			synctest.Wait()
			left.Store(900)
			cut.Store(true)
			path := "x"
			if scope == sdk.ScopeSubtree {
				path = ""
			}
			f.Add(sdk.Change{Path: path, Scope: scope, Ops: sdk.OpRemove})
			time.Sleep(5 * time.Minute)
			if left.Load() != 400 {
				t.Errorf("%d of 900 are left, want 400: 500 of 1000 may be deleted", left.Load())
			}
			cut.Store(false)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if f.Report().State != status.Held || left.Load() != 400 {
				t.Errorf("state %q, %d left", f.Report().State, left.Load())
			}
		})
	}
}

// What a call that fails has deleted counts for what it has created before.
func TestRenamesOfCallsThatFailCountForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failures atomic.Uint64
		f := start(t, func(_ context.Context, n int, req sdk.SyncRequest) (sdk.Result, error) {
			switch {
			case n == 1:
				return sdk.Result{Entries: 1000}, nil
			case failures.Add(1) <= 8:
				return sdk.Result{}, sdk.Unavailable(errors.New("the connection was cut"))
			}
			return sdk.Result{Deleted: 100, Created: 100}, nil
		})
		f.Add(everything)
		synctest.Wait()
		f.transport.tells = func(sdk.SyncRequest) sdk.Progress { return sdk.Progress{Deleted: 100, Created: 100} }
		f.Add(sdk.Change{Path: "x", Ops: sdk.OpRename})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if last := f.transport.last(); last.MaxDelete != 500 || f.Report().State != status.InSync {
			t.Errorf("%d may be deleted, state %q", last.MaxDelete, f.Report().State)
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

// What was gone when it was sent, while nothing may be deleted, and is back when that which was not deleted is
// counted, is neither: the destination still has what was there before.
func TestWhatCameAgainWhileNothingMayBeDeletedIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		f.config.Budget.Deleted(time.Now(), 100, 0)
		if err := os.WriteFile(filepath.Join(f.source, "back"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		differs := []sdk.Difference{{Path: "back"}}
		f.transport.lists = func(sdk.SyncRequest) []sdk.Difference {
			defer func() { differs = nil }()
			return differs
		}
		f.Add(sdk.Change{Path: "back", Ops: sdk.OpRemove})
		equal(t, f.transport.paths(), [][]string{{"back"}, {"back"}, {"back/"}, {"back/"}})
	})
}

// A large file takes the place of a directory with more in it than may be deleted: the comparison that is approved
// sends files of any size, for only with the file goes what is in its way.
func TestApprovalIsForWhatIsInTheWayOfALargeFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Uint64
		f := start(t, func(_ context.Context, _ int, req sdk.SyncRequest) (sdk.Result, error) {
			if req.MaxSize > 0 && req.Changes[0] == everything {
				return sdk.Result{Large: []string{"big"}}, nil
			}
			return extra(&n, 1000)(t.Context(), 0, req)
		})
		f.Destination.config.LargeFile = 1
		n.Store(1)
		f.Add(everything)
		synctest.Wait()
		n.Store(600)
		f.update(func(s *situation) {
			s.deletions = &deletions{hold: f.config.Budget.Hold(time.Now(), guard.Excess{Count: 600})}
		})
		f.Add(everything)
		synctest.Wait()
		if f.ApproveDeletions(false) == nil {
			t.Fatal("nothing is held")
		}
		synctest.Wait()
		if n.Load() != 0 || f.Report().Hold != nil {
			t.Errorf("%d are left after the approval, hold %+v", n.Load(), f.Report().Hold)
		}
	})
}
