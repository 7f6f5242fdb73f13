package transfer

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filewatch/filewatch/core/internal/mounts"
	"github.com/filewatch/filewatch/sdk"
)

// What the simulation of the engine has found (package core), each reduced to what it takes.

func TestSourceThatGoesWhileTheTransportIsBusyIsNotActedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := start(t, func(_ context.Context, _ int, req sdk.SyncRequest) (sdk.Result, error) {
			if req.DryRun {
				<-release
			}
			return sdk.Result{}, nil
		})
		verified := make(chan struct{})
		go func() { defer close(verified); _ = f.Verify(t.Context(), func(sdk.Difference) {}) }()
		synctest.Wait()
		f.Add(sdk.Change{Path: "a"})
		synctest.Wait()
		if err := os.RemoveAll(f.source); err != nil {
			t.Fatal(err)
		}
		close(release)
		<-verified
		time.Sleep(time.Minute)
		if calls := f.transport.paths(); len(calls) != 1 {
			t.Errorf("sent %q although the source is gone", calls[1:])
		}
	})
}

func TestFlushFailsWhenDeletionsHaveBecomeHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(context.Context, int, sdk.SyncRequest) (sdk.Result, error) {
			time.Sleep(time.Second)
			return sdk.Result{Withheld: sdk.Withheld{Count: 500}}, nil
		})
		f.Add(sdk.Change{Path: "a"})
		if err := f.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "500 entries would be deleted") {
			t.Errorf("flush: %v, want the hold", err)
		}
	})
}

func TestFlushWaitsForDeletionsThatAreAllowedAtTheSecondTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(_ context.Context, n int, _ sdk.SyncRequest) (sdk.Result, error) {
			time.Sleep(time.Second)
			switch n {
			case 1:
				return sdk.Result{Deleted: 90}, nil
			case 2: // what it creates makes up for what is to go
				return sdk.Result{Created: 20, Withheld: sdk.Withheld{Count: 15}}, nil
			}
			return sdk.Result{Deleted: 15}, nil
		})
		f.Add(sdk.Change{Path: "a"})
		if err := f.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.Add(sdk.Change{Path: "b"})
		if err := f.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, f.transport.paths(), [][]string{{"a"}, {"b"}, {"b"}})
		if again := f.transport.last(); again.Attempt != 2 {
			t.Errorf("attempt %d of batch %s, want the second one", again.Attempt, again.ID)
		}
	})
}

// gone makes each transfer send a file that is not there any more, and nobody tells of.
func gone(f *fixture) {
	f.transport.lists = func(req sdk.SyncRequest) []sdk.Difference {
		if slices.ContainsFunc(req.Changes, func(c sdk.Change) bool { return c.Path == "gone" }) {
			return nil
		}
		return []sdk.Difference{{Path: "gone", Kind: sdk.Missing}}
	}
}

func TestInSyncIsNotSaidOfWhatCameAndWentBetweenTwoLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := start(t, func(_ context.Context, n int, _ sdk.SyncRequest) (sdk.Result, error) {
			if n == 2 {
				<-release
			}
			return sdk.Result{}, nil
		})
		gone(f)
		f.watch.set(func(w *fakeWatch) { w.looks = true })
		f.Add(sdk.Change{Path: "a"})
		equal(t, f.transport.paths(), [][]string{{"a"}, {"gone"}})
		if f.log.count("in sync") != 0 || f.Report().SyncedAt != nil {
			t.Error("in sync is said while the destination has a file that is gone")
		}
		close(release)
		if f.log.count("in sync") != 1 || f.Report().SyncedAt == nil {
			t.Error("in sync is not said")
		}
	})
}

func TestFlushFindsWhatCameAndWentBetweenTwoLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		gone(f)
		f.watch.set(func(w *fakeWatch) { w.looks, w.prove = true, func(func()) {} })
		f.Add(sdk.Change{Path: "a"})
		synctest.Wait()
		// What came and went is not judged when a flush begins.
		f.watch.set(func(w *fakeWatch) { w.prove = func(reached func()) { reached() } })
		if err := f.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		calls := f.transport.paths()
		equal(t, calls[:min(2, len(calls))], [][]string{{"a"}, {"gone"}})
	})
}

func TestHeldDeletionsEndInSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(_ context.Context, n int, _ sdk.SyncRequest) (sdk.Result, error) {
			if n == 1 {
				return sdk.Result{}, nil
			}
			return sdk.Result{Withheld: sdk.Withheld{Count: 500}}, nil
		})
		f.Add(everything)
		if f.log.count("in sync") != 1 {
			t.Fatal("in sync is not said")
		}
		f.Rescan()
		if f.log.count("in sync") != 1 {
			t.Error("in sync is said although deletions are held")
		}
	})
}

func TestDifferencesBeforeARescanAreNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		if err := os.WriteFile(filepath.Join(f.source, "a"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f.Add(everything)
		f.transport.lists = func(req sdk.SyncRequest) []sdk.Difference {
			if req.Changes[0].Path == "a" {
				return []sdk.Difference{{Path: "a", Kind: sdk.Different}}
			}
			return nil
		}
		synctest.Wait()
		f.watch.set(func(w *fakeWatch) { w.looks, w.prove = true, func(func()) {} })
		f.Add(sdk.Change{Path: "a"})
		synctest.Wait()
		f.watch.set(func(w *fakeWatch) { w.prove = func(reached func()) { reached() } })
		f.Rescan()
		synctest.Wait()
		if n := f.Missed(); n != 0 {
			t.Errorf("%d missed of what was told and sent before", n)
		}
	})
}

func TestDeletionsThatWereHeldAreNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const held = 55 * time.Minute
		began := time.Now()
		f := start(t, func(_ context.Context, _ int, req sdk.SyncRequest) (sdk.Result, error) {
			if time.Since(began) < held && req.Delete {
				return sdk.Result{Withheld: sdk.Withheld{Count: 500}}, nil
			}
			return sdk.Result{}, nil
		})
		f.Add(everything)
		f.Add(sdk.Change{Path: "a", Ops: sdk.OpRemove}) // told, and held
		synctest.Wait()
		f.transport.lists = func(sdk.SyncRequest) []sdk.Difference {
			return []sdk.Difference{{Path: "a", Kind: sdk.Extra}}
		}
		time.Sleep(held)
		f.Rescan()
		synctest.Wait()
		if n := f.Missed(); n != 0 {
			t.Errorf("%d missed of what was told and held", n)
		}
	})
}

// hidden is a subtree that a mount hides.
type hidden struct{}

func (hidden) Held() []mounts.Hold { return []mounts.Hold{{Path: "d", Reason: "d/: hidden"}} }

func TestVerifyTellsWhatIsNotCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		f.config.Mounts = hidden{}
		if err := f.Verify(t.Context(), func(sdk.Difference) {}); err == nil || err.Error() != "d/: hidden" {
			t.Errorf("verify: %v, want what is hidden", err)
		}
	})
}

func TestPauseWhileTheTransportIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := start(t, func(_ context.Context, _ int, req sdk.SyncRequest) (sdk.Result, error) {
			if req.DryRun {
				<-release
			}
			return sdk.Result{}, nil
		})
		verified := make(chan struct{})
		go func() { defer close(verified); _ = f.Verify(t.Context(), func(sdk.Difference) {}) }()
		synctest.Wait()
		f.Add(sdk.Change{Path: "a"})
		synctest.Wait()
		f.Pause()
		close(release)
		<-verified
		if calls := f.transport.paths(); len(calls) != 1 {
			t.Errorf("sent %q although it is paused", calls[1:])
		}
		f.Resume()
		if calls := f.transport.paths(); len(calls) != 2 {
			t.Error("nothing was sent after the pause")
		}
	})
}
