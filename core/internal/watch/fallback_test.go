package watch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/sdk"
)

// fake is a watcher of which each run is made by hand.
type fake struct{ runs chan *fakeRun }

// fakeRun is one run of a fake.
type fakeRun struct {
	sdk.Reporter
	req sdk.WatchRequest
	ctx context.Context
	end chan error
}

func newFake() *fake { return &fake{make(chan *fakeRun, 100)} }

func (f *fake) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	run := &fakeRun{r, req, ctx, make(chan error, 1)}
	f.runs <- run
	select {
	case err := <-run.end:
		return err
	case <-ctx.Done():
		return nil
	}
}

// next returns the run that has begun since the last call, or nil.
func (f *fake) next() *fakeRun {
	synctest.Wait()
	select {
	case run := <-f.runs:
		return run
	default:
		return nil
	}
}

// over reports whether the run was ended.
func (r *fakeRun) over() bool {
	synctest.Wait()
	return r.ctx.Err() != nil
}

// barrier takes the barrier that waits, or fails.
func (r *fakeRun) barrier(t *testing.T) sdk.Barrier {
	t.Helper()
	synctest.Wait()
	select {
	case b := <-r.req.Barriers:
		return b
	default:
		t.Fatal("no barrier")
		return sdk.Barrier{}
	}
}

// asked reports whether a barrier waits.
func (r *fakeRun) asked() bool {
	synctest.Wait()
	return len(r.req.Barriers) > 0
}

// watched is a root with a fake watcher and a fake fallback.
type watched struct {
	*Root
	*log
	t           *testing.T
	watch, poll *fake
	main        *fakeRun
}

func startFakes(t *testing.T) *watched {
	w := &watched{log: &log{}, t: t, watch: newFake(), poll: newFake()}
	w.Root = New(Config{
		Watcher: w.watch, Fallback: w.poll,
		Choice:  func() (string, string) { return "inotify", "it fits" },
		Request: sdk.WatchRequest{Sync: "s", Root: "/r", Exclude: []string{"x"}, Config: "its own"},
		Change:  w.add, Logger: hclog.NewNullLogger(),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	w.main = w.watch.next()
	return w
}

// expect fails the test unless exactly these subtrees were to be compared since the last call.
func (w *watched) expect(what string, paths ...string) {
	w.t.Helper()
	var got []string
	for _, c := range w.take() {
		if c.Scope == sdk.ScopeSubtree && c.Ops == 0 {
			got = append(got, c.Path)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, paths) {
		w.t.Errorf("%s: compared %q, want %q", what, got, paths)
	}
}

func (w *watched) complete(want bool) {
	w.t.Helper()
	synctest.Wait()
	if got, reason := w.Complete(); got != want || (reason == "") != want {
		w.t.Errorf("complete: %t, %q", got, reason)
	}
}

// polled returns the fallback that has begun for the paths.
func (w *watched) polled(only ...string) *fakeRun {
	w.t.Helper()
	var run *fakeRun
	for deadline := time.Now().Add(20 * followSettle); run == nil; time.Sleep(followSettle / 10) {
		if run = w.poll.next(); run != nil {
			break
		}
		if time.Now().After(deadline) {
			w.t.Fatal("nobody polls")
		}
	}
	if !slices.Equal(run.req.Only, only) || run.req.Root != "/r" || run.req.Sync != "s" || len(run.req.Exclude) != 1 || run.req.Config != nil {
		w.t.Errorf("polled with %+v, want only %q", run.req, only)
	}
	return run
}

func TestUnwatchedSubtreesArePolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startFakes(t)
		w.main.Ready()
		w.expect("ready", "")
		w.complete(true)
		w.main.Unwatched([]string{"a", "b/c"}, "limit")
		w.complete(false)
		poll := w.polled("a", "b/c")
		w.complete(false)
		poll.Ready()
		w.expect("polled from now on", "a", "b/c")
		w.complete(true)
		poll.Change(sdk.Change{Path: "a/x"})
		if got := w.take(); !slices.Equal(got, []sdk.Change{{Path: "a/x"}}) {
			t.Errorf("got %v", got)
		}
		s := w.Status()
		if !s.Watched || s.Watcher != "inotify" || s.Why != "it fits" || !slices.Equal(s.Fallback, []string{"a", "b/c"}) ||
			s.Degraded != "2 subtrees are not watched, but polled: limit" {
			t.Errorf("%+v", s)
		}
		time.Sleep(5 * unwatchedRescan)
		w.expect("nothing is compared every minute")

		// One more: what was polled goes on to be, without a gap and without a comparison.
		w.main.Unwatched([]string{"a", "b/c", "d"}, "limit")
		w.complete(false)
		second := w.polled("a", "b/c", "d")
		second.Ready()
		b := poll.barrier(t)
		w.complete(false)
		if poll.over() {
			t.Error("the stream ended before it has told everything")
		}
		poll.Change(sdk.Change{Path: "a/late"})
		b.Reached()
		if !poll.over() {
			t.Error("the stream goes on although it was replaced")
		}
		w.expect("the new one", "d")
		w.complete(true)

		w.main.Unwatched([]string{"a"}, "limit")
		w.complete(true)
		w.expect("what is watched again", "b/c", "d")
		third := w.polled("a")
		third.Ready()
		second.barrier(t).Reached()
		w.expect("only fewer")
		w.complete(true)

		w.main.Unwatched(nil, "")
		w.complete(true)
		w.expect("all is watched again", "a")
		time.Sleep(2 * followSettle)
		if !third.over() || w.poll.next() != nil {
			t.Error("polled although all is watched")
		}
		if s := w.Status(); s.Degraded != "" || s.Fallback != nil || !s.Watched {
			t.Errorf("%+v", s)
		}
	})
}

func TestStreamThatCannotProveIsCompared(t *testing.T) {
	for name, fail := range map[string]func(*fakeRun){
		"silent": func(*fakeRun) { time.Sleep(2 * handOver) },
		"dead":   func(r *fakeRun) { r.end <- errors.New("gone") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := startFakes(t)
				w.main.Ready()
				w.main.Unwatched([]string{"a"}, "limit")
				poll := w.polled("a")
				poll.Ready()
				w.take()
				w.main.Unwatched([]string{"a", "b"}, "limit")
				w.polled("a", "b").Ready()
				synctest.Wait()
				fail(poll)
				time.Sleep(time.Millisecond)
				got := w.take()
				for _, p := range []string{"a", "b"} {
					if !slices.Contains(got, sdk.Change{Path: p, Scope: sdk.ScopeSubtree}) {
						t.Errorf("%q is not compared: %v", p, got)
					}
				}
				w.complete(true)
			})
		})
	}
}

func TestAllIsPolledWhileTheWatcherIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startFakes(t)
		time.Sleep(30 * time.Second)
		if w.poll.next() != nil {
			t.Error("polled while the watcher starts")
		}
		w.main.end <- sdk.Misconfigured(errors.New("max_user_instances"))
		time.Sleep(grace / 2)
		if w.poll.next() != nil {
			t.Error("polled although the watcher may be back any moment")
		}
		time.Sleep(grace)
		poll := w.polled()
		w.complete(false)
		poll.Ready()
		w.expect("all", "")
		w.complete(true)
		if s := w.Status(); !s.Watched || s.Watcher != "poll" || !slices.Equal(s.Fallback, []string{""}) || !strings.Contains(s.Degraded, "polled: max_user_instances") {
			t.Errorf("%+v", s)
		}
		// It fails again and again, which changes nothing.
		deadline := time.Now().Add(10 * time.Minute)
		for time.Now().Before(deadline) {
			time.Sleep(time.Second)
			if run := w.watch.next(); run != nil {
				run.end <- errors.New("max_user_instances")
			}
			w.complete(true)
		}
		w.expect("while it fails")
		if poll.over() {
			t.Error("not polled any more")
		}
		// The limit is raised.
		var run *fakeRun
		for run == nil {
			time.Sleep(time.Second)
			run = w.watch.next()
		}
		run.Ready()
		w.expect("watched again", "")
		w.complete(true)
		time.Sleep(2 * followSettle)
		if !poll.over() {
			t.Error("still polled")
		}
		if s := w.Status(); s.Watcher != "inotify" || s.Degraded != "" {
			t.Errorf("%+v", s)
		}

		// A plugin that is back within a second is compared once, not polled.
		time.Sleep(2 * healthy)
		run.end <- sdk.Unavailable(errors.New("killed"))
		w.complete(false)
		time.Sleep(grace / 2)
		w.watch.next().Ready()
		if got := w.take(); !slices.Contains(got, rescanAll) { // the minute may have been over, too
			t.Errorf("back: %v", got)
		}
		time.Sleep(2 * grace)
		if w.poll.next() != nil {
			t.Error("polled although the watcher is back")
		}
		w.complete(true)
	})
}

// A watcher that never gets ready: today's minute is all that may pass unseen.
func TestAllIsPolledWhenTheWatcherDoesNotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startFakes(t)
		time.Sleep(unwatchedRescan + time.Second)
		w.polled().Ready()
		w.complete(true)
	})
}

func TestMissingRootIsNotPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startFakes(t)
		w.main.Ready()
		w.main.end <- sdk.RootLost(errors.New("unmounted"))
		for range 100 {
			time.Sleep(lostPoll)
			if run := w.watch.next(); run != nil {
				run.end <- sdk.RootLost(errors.New("unmounted"))
			}
		}
		if w.poll.next() != nil {
			t.Error("polled")
		}
		w.complete(false)
	})
}

// When nobody polls either, what is not seen is compared every minute.
func TestFallbackThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startFakes(t)
		w.main.Ready()
		w.take()
		w.main.Unwatched([]string{"a"}, "limit")
		start := time.Now()
		poll := w.polled("a")
		poll.end <- errors.New("no memory")
		w.expect("at once", "a")
		tries := 0
		for time.Since(start) < 10*unwatchedRescan {
			time.Sleep(time.Second)
			if run := w.poll.next(); run != nil {
				tries++
				run.end <- errors.New("no memory")
			}
		}
		if got := len(w.take()); got < 9 || got > 11 || tries < 10 || tries > 30 {
			t.Errorf("compared %d times and tried to poll %d times in ten minutes", got, tries)
		}
		w.complete(false)
		if s := w.Status(); s.Watched || s.Degraded != "1 subtree is not watched, but compared every 1m0s: limit" {
			t.Errorf("%+v", s)
		}
		var run *fakeRun
		for run == nil {
			time.Sleep(time.Second)
			run = w.poll.next()
		}
		run.Ready()
		run.Unwatched([]string{"a/deep"}, "permission")
		w.complete(false)
		w.take()
		if s := w.Status(); s.Watched || s.Degraded != "1 subtree is not watched, and 1 subtree is neither watched nor polled but compared every 1m0s: limit; permission" {
			t.Errorf("%+v", s)
		}
		time.Sleep(unwatchedRescan)
		w.expect("what polling does not see", "a/deep")
		run.Unwatched(nil, "")
		w.complete(true)
		w.expect("polled again", "a/deep")

		run.end <- errors.New("killed")
		w.complete(false)
		w.expect("the stream died", "a")
		time.Sleep(3 * fallbackMin)
		w.poll.next().Ready()
		if got := w.take(); !slices.Contains(got, sdk.Change{Path: "a", Scope: sdk.ScopeSubtree}) {
			t.Errorf("it is back: %v", got)
		}
		w.complete(true)
	})
}

func TestProofsGoThroughBothStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startFakes(t)
		var proved []int
		prove := func(n int) { w.Prove(func() { proved = append(proved, n) }) }
		expect := func(what string, want ...int) {
			t.Helper()
			synctest.Wait()
			if !slices.Equal(proved, want) {
				t.Errorf("%s: proved %v, want %v", what, proved, want)
			}
		}
		prove(1)
		w.main.Ready()
		w.main.barrier(t).Reached()
		expect("asked before it was ready", 1)

		prove(2)
		first := w.main.barrier(t)
		prove(3)
		if w.main.asked() {
			t.Error("two questions at a time")
		}
		first.Reached()
		expect("the first question", 1, 2)
		w.main.barrier(t).Reached()
		expect("the second one", 1, 2, 3)

		w.main.Unwatched([]string{"a"}, "limit")
		prove(4)
		if w.main.asked() {
			t.Error("asked while not all is seen")
		}
		poll := w.polled("a")
		poll.Ready()
		w.main.barrier(t).Reached()
		expect("half an answer", 1, 2, 3)
		poll.barrier(t).Reached()
		expect("the other half", 1, 2, 3, 4)

		// Answers do not outlive what was asked.
		prove(5)
		stale := w.main.barrier(t)
		poll.barrier(t).Reached()
		w.main.Unwatched([]string{"a", "b"}, "limit")
		stale.Reached()
		expect("the list changed", 1, 2, 3, 4)
		second := w.polled("a", "b")
		second.Ready()
		poll.barrier(t).Reached() // of the hand-over
		second.barrier(t).Reached()
		w.main.barrier(t).Reached()
		expect("of those that count now", 1, 2, 3, 4, 5)

		// A question that was lost is asked again, of those that have not answered.
		prove(6)
		w.main.barrier(t)
		second.barrier(t).Reached()
		expect("one answer", 1, 2, 3, 4, 5)
		time.Sleep(askAgain)
		if second.asked() {
			t.Error("asked again although it has answered")
		}
		w.main.barrier(t).Reached()
		expect("asked again", 1, 2, 3, 4, 5, 6)
		time.Sleep(2 * askAgain)
		if w.main.asked() {
			t.Error("asked again although all have answered")
		}

		// A watcher that sees nothing has nothing to prove.
		w.main.Unwatched([]string{""}, "no watch at all")
		prove(7)
		none := w.polled()
		none.Ready()
		second.barrier(t).Reached() // of the hand-over
		none.barrier(t).Reached()
		expect("by polling", 1, 2, 3, 4, 5, 6, 7)
		w.main.Unwatched([]string{"a", "b"}, "limit")
		second = w.polled("a", "b")
		second.Ready()
		none.barrier(t).Reached()
		w.complete(true)

		w.main.end <- errors.New("killed")
		w.complete(false)
		prove(8)
		time.Sleep(grace)
		all := w.polled()
		all.Ready()
		second.barrier(t).Reached()
		all.barrier(t).Reached()
		expect("by polling alone", 1, 2, 3, 4, 5, 6, 7, 8)
	})
}

// A burst of lists costs no more than a tenth of the time, however long it lasts.
func TestListsAreFollowedWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startFakes(t)
		w.main.Ready()
		w.take()
		opened, current := 0, (*fakeRun)(nil)
		for i := range 600 {
			w.main.Unwatched([]string{strings.Repeat("x", i+1)}, "limit")
			time.Sleep(time.Second)
			if run := w.poll.next(); run != nil {
				opened++
				time.Sleep(time.Second) // to look at all of it
				run.Ready()
				if current != nil {
					current.barrier(t).Reached()
				}
				current = run
			}
		}
		if opened < 40 || opened > 60 {
			t.Errorf("opened %d times in ten minutes, each for a second", opened)
		}
	})
}

func TestLongListsArePolledAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startFakes(t)
		w.main.Ready()
		var paths []string
		for i := range 1000 {
			paths = append(paths, string(rune('a'+i%26))+strings.Repeat("/"+strings.Repeat("y", 250), 10)+string(rune('a'+i/26)))
		}
		w.main.Unwatched(paths, "limit")
		w.polled()
	})
}

func TestPollingNeedsNoFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startFakes(t)
		w.config.Choice = func() (string, string) { return "poll", "" }
		w.main.Ready()
		w.main.Unwatched([]string{"a"}, "permission")
		w.expect("compared", "", "a")
		time.Sleep(2 * followSettle)
		if w.poll.next() != nil {
			t.Error("polled twice")
		}
	})
}
