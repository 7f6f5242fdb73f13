package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
)

func TestOneChangeThatFailsAllHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := map[string]bool{}
		f := start(t, func(_ context.Context, _ int, req sdk.SyncRequest) (sdk.Result, error) {
			for _, c := range req.Changes {
				if c.Path == "p57" {
					return sdk.Result{}, errors.New("rsync: no message (exit status 11)")
				}
			}
			for _, c := range req.Changes {
				sent[c.Path] = true
			}
			return sdk.Result{}, nil
		})
		f.Pause()
		for i := range 100 {
			f.Add(sdk.Change{Path: fmt.Sprintf("p%02d", i)})
		}
		f.Resume()
		time.Sleep(time.Minute)
		f.Add(sdk.Change{Path: "later"})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(sent) != 100 || !sent["later"] || sent["p57"] {
			t.Errorf("%d sent, the bad one %t, the later one %t", len(sent), sent["p57"], sent["later"])
		}
		failing, n := f.queue.Failing(10)
		if n != 1 || failing[0].Path != "p57" || !strings.Contains(failing[0].Text, "exit status 11") {
			t.Errorf("failing: %v", failing)
		}
		if r := f.Report(); r.State != status.Failing || r.Away != nil {
			t.Errorf("state %q, away %v", r.State, r.Away)
		}
	})
}

func TestDestinationThatIsAwayIsNotSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(context.Context, int, sdk.SyncRequest) (sdk.Result, error) {
			return sdk.Result{}, sdk.Unavailable(errors.New("no route to host"))
		})
		f.Add(sdk.Change{Path: "a"})
		f.Add(sdk.Change{Path: "b"})
		time.Sleep(time.Hour)
		for _, paths := range f.transport.paths()[1:] {
			if len(paths) != 2 {
				t.Fatalf("sent %q", paths)
			}
		}
		if r := f.Report(); r.State != status.Away || r.Away.Text != "no route to host" || len(r.Failing) != 0 {
			t.Errorf("report %+v", r)
		}
	})
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		f.Pause()
		f.Add(sdk.Change{Path: "a"})
		time.Sleep(time.Hour)
		equal(t, f.transport.paths(), nil)
		if r := f.Report(); r.State != status.Paused || r.Pending != 1 {
			t.Errorf("report %+v", r)
		}
		f.Resume()
		equal(t, f.transport.paths(), [][]string{{"a"}})
	})
}

func TestResyncDoesNotWaitForTheNextTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(_ context.Context, n int, _ sdk.SyncRequest) (sdk.Result, error) {
			if n < 8 {
				return sdk.Result{}, sdk.Unavailable(errors.New("away"))
			}
			return sdk.Result{}, nil
		})
		f.Add(sdk.Change{Path: "a"})
		for len(f.transport.paths()) < 7 {
			time.Sleep(time.Second)
		}
		f.Resync()
		if got := f.transport.paths(); len(got) != 8 || !slices.Equal(got[7], []string{"./"}) {
			t.Errorf("sent %q", got)
		}
	})
}

func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := start(t, func(context.Context, int, sdk.SyncRequest) (sdk.Result, error) {
			<-release
			return sdk.Result{}, nil
		})
		// A change that the watcher still has when flush is called.
		f.watch.set(func(w *fakeWatch) {
			w.prove = func(reached func()) {
				f.Add(sdk.Change{Path: "a", Ops: sdk.OpWrite})
				reached()
			}
		})
		flushed := make(chan error, 1)
		go func() { flushed <- f.Flush(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-flushed:
			t.Fatalf("flushed before the change was confirmed: %v", err)
		default:
		}
		// What comes after the call does not keep it from returning.
		f.watch.set(func(w *fakeWatch) { w.prove = func(func()) {} })
		time.Sleep(time.Millisecond)
		f.Add(sdk.Change{Path: "b"})
		release <- struct{}{}
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		close(release)
	})
}

func TestFlushFailsAtOnce(t *testing.T) {
	tests := []struct {
		name  string
		reply func(context.Context, int, sdk.SyncRequest) (sdk.Result, error)
		make  func(*fixture)
		want  string
	}{
		{"paused", ok, func(f *fixture) { f.Pause() }, "paused: `filewatch resume s` goes on"},
		{"away", func(context.Context, int, sdk.SyncRequest) (sdk.Result, error) {
			return sdk.Result{}, sdk.Unavailable(errors.New("no route to host"))
		}, func(*fixture) {}, "no route to host"},
		{"a path fails", func(context.Context, int, sdk.SyncRequest) (sdk.Result, error) {
			return sdk.Result{Failed: []sdk.PathError{{Path: "a", Text: "permission denied"}}}, nil
		}, func(*fixture) {}, "1 paths could not be sent, the first is a: permission denied"},
		{"the source is gone", ok, func(f *fixture) { os.Remove(f.source) }, "does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, tt.reply)
				tt.make(f)
				f.Add(sdk.Change{Path: "a"})
				synctest.Wait()
				began := time.Now()
				err := f.Flush(t.Context())
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				if time.Since(began) > 0 {
					t.Errorf("it took %s", time.Since(began))
				}
			})
		})
	}
}

func TestFlushNeedsTheProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		asked := 0
		f.watch.set(func(w *fakeWatch) { w.prove = func(func()) { asked++ } })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := f.Flush(ctx); err == nil || !strings.Contains(err.Error(), "proved") {
			t.Errorf("got %v", err)
		}
		if asked < 4 {
			t.Errorf("asked %d times; a watcher that was restarted has forgotten the first", asked)
		}
	})
}

// A watcher that gets ready has all compared: a flush meanwhile does not have it compared twice.
func TestFlushWaitsForTheWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		var reached func()
		f.watch.set(func(w *fakeWatch) {
			w.complete, w.prove = false, func(r func()) { reached = r }
		})
		go func() {
			time.Sleep(time.Second)
			f.Add(everything)
			reached()
		}()
		if err := f.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		equal(t, f.transport.paths(), [][]string{{"./"}})
	})
}

func TestRescanCountsWhatTheWatcherMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		f.Add(everything)
		time.Sleep(time.Hour)
		write := func(name string, at time.Time) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(f.source, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"missed", "told before", "told during", "told after"} {
			write(name, time.Now())
		}
		f.transport.lists = func(sdk.SyncRequest) []sdk.Difference {
			f.Add(sdk.Change{Path: "told during"})
			return []sdk.Difference{
				{Path: "missed"}, {Path: "missed"}, {Path: "told before"}, {Path: "told during"},
				{Path: "told after", Kind: sdk.Missing}, {Path: "dir/told", Kind: sdk.Extra},
			}
		}
		f.watch.set(func(w *fakeWatch) {
			w.prove = func(reached func()) {
				f.Add(sdk.Change{Path: "told after"})
				f.Add(sdk.Change{Path: "dir", Ops: sdk.OpRemove})
				f.watch.set(func(w *fakeWatch) { w.prove = func(func()) {} })
				reached()
			}
		})
		f.Pause()
		f.Add(sdk.Change{Path: "told before", Ops: sdk.OpWrite})
		f.Rescan()
		f.Resume()
		synctest.Wait()
		if got := f.Missed(); got != 1 {
			t.Errorf("missed %d\n%s", got, f.log.b.String())
		}
		if f.log.count(`some=["missed"]`) != 1 {
			t.Errorf("log: %s", f.log.b.String())
		}
	})
}

// What a transfer sent and is gone before the watcher looks again is seen by nobody.
func TestWhatCameAndWentBetweenTwoLooksIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		f.watch.set(func(w *fakeWatch) { w.looks = true })
		if err := os.WriteFile(filepath.Join(f.source, "stays"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f.transport.lists = func(req sdk.SyncRequest) []sdk.Difference {
			if req.Changes[0] != everything {
				return nil
			}
			return []sdk.Difference{{Path: "stays", Kind: sdk.Missing}, {Path: "gone", Kind: sdk.Missing}}
		}
		f.Add(everything)
		equal(t, f.transport.paths(), [][]string{{"./"}, {"gone"}})
		if f.Missed() != 0 {
			t.Error("counted as missed")
		}
	})
}

// What was gone for the watcher, was there for the transfer, which had nothing to do, and is gone again is seen by nobody
// either. That it was gone may be seen with a subtree above it.
func TestWhatWasTheSameAndWentIsDeleted(t *testing.T) {
	for _, c := range []sdk.Change{{Path: "gone", Ops: sdk.OpRemove}, {Path: "gone", Scope: sdk.ScopeSubtree}} {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, ok)
			f.watch.set(func(w *fakeWatch) { w.looks = true })
			f.transport.lists = func(req sdk.SyncRequest) []sdk.Difference {
				if req.Changes[0].Ops&sdk.OpRemove == 0 {
					return nil
				}
				return []sdk.Difference{{Path: "gone", Kind: sdk.Same}}
			}
			f.Add(c)
			equal(t, f.transport.paths(), [][]string{{c.String()}, {"gone"}})
			if f.log.count("in sync") != 1 || f.Missed() != 0 {
				t.Errorf("in sync is said %d times, missed %d", f.log.count("in sync"), f.Missed())
			}
		})
	}
}

// Nor is it seen if there is something else by the time that the watcher has looked.
func TestWhatCameAndWentAndCameAgainIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		gone(f)
		var proofs []func()
		f.watch.set(func(w *fakeWatch) {
			w.looks = true
			w.prove = func(reached func()) { proofs = append(proofs, reached) }
		})
		f.Add(sdk.Change{Path: "a"})
		equal(t, f.transport.paths(), [][]string{{"a"}})
		if err := os.WriteFile(filepath.Join(f.source, "gone"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, reached := range proofs {
			reached()
		}
		equal(t, f.transport.paths(), [][]string{{"a"}, {"gone"}})
		if f.log.count("in sync") != 0 {
			t.Error("in sync is said while the destination has what was there before")
		}
	})
}

// What is below a directory that is a file by now is gone, too.
func TestWhatWentWithItsDirectoryIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		f.watch.set(func(w *fakeWatch) { w.looks = true })
		if err := os.WriteFile(filepath.Join(f.source, "d"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		f.transport.lists = func(req sdk.SyncRequest) []sdk.Difference {
			if req.Changes[0] != everything {
				return nil
			}
			return []sdk.Difference{{Path: "d/gone", Kind: sdk.Missing}}
		}
		f.Add(everything)
		equal(t, f.transport.paths(), [][]string{{"./"}, {"d/gone"}})
	})
}

// A directory that is one no more may be one again when it is sent: it is compared with what is in it then.
func TestWhatWasADirectoryIsComparedAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		dir := filepath.Join(f.source, "d")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		var proofs []func()
		f.watch.set(func(w *fakeWatch) {
			w.looks = true
			w.prove = func(reached func()) { proofs = append(proofs, reached) }
		})
		f.transport.lists = func(req sdk.SyncRequest) []sdk.Difference {
			if req.Changes[0] != everything {
				return nil
			}
			return []sdk.Difference{{Path: "d", Kind: sdk.Missing}}
		}
		f.Add(everything)
		equal(t, f.transport.paths(), [][]string{{"./"}})
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("elsewhere", dir); err != nil {
			t.Fatal(err)
		}
		for _, reached := range proofs {
			reached()
		}
		equal(t, f.transport.paths(), [][]string{{"./"}, {"d/"}})
	})
}

// What a transfer has sent that failed is listed by nobody, and the next try finds it the same.
func TestWhatAFailedTransferSentIsLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := true
		f := start(t, func(context.Context, int, sdk.SyncRequest) (sdk.Result, error) {
			if fail {
				fail = false
				return sdk.Result{}, sdk.Unavailable(errors.New("the connection broke off"))
			}
			return sdk.Result{}, nil
		})
		var proofs []func()
		f.watch.set(func(w *fakeWatch) {
			w.looks = true
			w.prove = func(reached func()) { proofs = append(proofs, reached) }
		})
		if err := os.Mkdir(filepath.Join(f.source, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
		f.Add(sdk.Change{Path: "d", Scope: sdk.ScopeSubtree})
		time.Sleep(5 * time.Second)
		equal(t, f.transport.paths(), [][]string{{"d/"}, {"d/"}})
		for _, reached := range proofs {
			reached()
		}
		equal(t, f.transport.paths(), [][]string{{"d/"}, {"d/"}, {"d/"}})
		if f.log.count("in sync") != 0 {
			t.Error("in sync is said before it has been looked at again")
		}
		for len(proofs) > 0 {
			reached := proofs[0]
			proofs = proofs[1:]
			reached()
			synctest.Wait()
		}
		if n := len(f.transport.paths()); n != 3 || f.log.count("in sync") != 1 {
			t.Errorf("%d calls, in sync %d times", n, f.log.count("in sync"))
		}
	})
}

// Nor is there a list of a transfer that began before the watcher came to look.
func TestWhatWasSentBeforeTheWatcherLooksIsLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fixture
		f = start(t, func(_ context.Context, n int, _ sdk.SyncRequest) (sdk.Result, error) {
			if n == 1 {
				f.watch.set(func(w *fakeWatch) { w.looks = true })
			}
			return sdk.Result{}, nil
		})
		if err := os.Mkdir(filepath.Join(f.source, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
		f.Add(sdk.Change{Path: "d", Scope: sdk.ScopeSubtree})
		equal(t, f.transport.paths(), [][]string{{"d/"}, {"d/"}})
		if f.log.count("in sync") != 1 {
			t.Errorf("in sync is said %d times", f.log.count("in sync"))
		}
	})
}

// A watcher that looks now and then cannot tell of it, so it does not count as missed; what it should have
// seen does.
func TestWhatCameAndWentBetweenTwoLooksIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		f.watch.set(func(w *fakeWatch) { w.looks = true })
		f.Add(everything)
		time.Sleep(time.Hour)
		synctest.Wait()
		if err := os.WriteFile(filepath.Join(f.source, "stays"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f.transport.lists = func(req sdk.SyncRequest) []sdk.Difference {
			if req.Changes[0] != everything {
				return nil
			}
			return []sdk.Difference{
				{Path: "came and went", Kind: sdk.Missing}, {Path: "came and went", Kind: sdk.Extra},
				{Path: "stays", Kind: sdk.Missing}, {Path: "removed", Kind: sdk.Extra}, {Path: ".", Kind: sdk.Same},
			}
		}
		f.Rescan()
		synctest.Wait()
		if got := f.Missed(); got != 2 || f.log.count(`some=["removed", "stays"]`) != 1 {
			t.Errorf("missed %d: %s", got, f.log.b.String())
		}
	})
}

func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		f.transport.lists = func(req sdk.SyncRequest) []sdk.Difference {
			if req.Changes[0] == everything {
				return []sdk.Difference{{Path: "on its way"}, {Path: "bad", Kind: sdk.Extra}}
			}
			return []sdk.Difference{{Path: "bad", Kind: sdk.Extra}}
		}
		var found []sdk.Difference
		if err := f.Verify(t.Context(), func(d sdk.Difference) { found = append(found, d) }); err != nil {
			t.Fatal(err)
		}
		if want := []sdk.Difference{{Path: "bad", Kind: sdk.Extra}}; !slices.Equal(found, want) {
			t.Errorf("found %v, want %v", found, want)
		}
		for _, call := range f.transport.calls {
			if !call.DryRun {
				t.Errorf("verify changed the destination: %+v", call)
			}
		}
		if err := f.Repair(t.Context(), found); err != nil {
			t.Error(err)
		}
		if last := f.transport.last(); last.DryRun || last.Changes[0].Path != "bad" {
			t.Errorf("repaired by %+v", last)
		}
	})
}
