package watch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/sdk"
)

type watchFunc func(context.Context, sdk.WatchRequest, sdk.Reporter) error

func (f watchFunc) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	return f(ctx, req, r)
}

// log keeps the changes that a root reports, with the time since the start.
type log struct {
	mu      sync.Mutex
	changes []sdk.Change
}

func (l *log) add(c sdk.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, c)
}

func (l *log) take() []sdk.Change {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.changes
	l.changes = nil
	return taken
}

var rescanAll = sdk.Change{Scope: sdk.ScopeSubtree}

// run watches in virtual time with w until the test's end.
func run(t *testing.T, w watchFunc, rescan time.Duration) (*Root, *log) {
	var l log
	r := New(Config{Watcher: w, Change: l.add, Rescan: rescan, Logger: hclog.NewNullLogger()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return r, &l
}

func TestReadyComparesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready := make(chan struct{})
		r, l := run(t, func(ctx context.Context, _ sdk.WatchRequest, rep sdk.Reporter) error {
			<-ready
			rep.Ready()
			rep.Change(sdk.Change{Path: "a"})
			<-ctx.Done()
			return nil
		}, 0)
		if got := l.take(); len(got) != 0 {
			t.Errorf("before the watcher was ready: %v", got)
		}
		if ok, reason := r.Complete(); ok || reason == "" {
			t.Errorf("complete before ready: %v, %q", ok, reason)
		}
		close(ready)
		if got, want := l.take(), []sdk.Change{rescanAll, {Path: "a"}}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if ok, _ := r.Complete(); !ok {
			t.Error("not complete after ready")
		}
	})
}

func TestRestartComparesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := make(chan error)
		r, l := run(t, func(ctx context.Context, _ sdk.WatchRequest, rep sdk.Reporter) error {
			rep.Ready()
			select {
			case err := <-fail:
				return err
			case <-ctx.Done():
				return nil
			}
		}, 0)
		l.take()
		for range 3 {
			time.Sleep(2 * healthy)
			fail <- sdk.Unavailable(errors.New("the plugin died"))
			synctest.Wait()
			if ok, reason := r.Complete(); ok || reason != "the plugin died" {
				t.Errorf("complete while the watcher is away: %v, %q", ok, reason)
			}
			time.Sleep(2 * retryMin)
			if got := l.take(); !slices.Equal(got, []sdk.Change{rescanAll}) {
				t.Errorf("after the restart: %v", got)
			}
			if ok, _ := r.Complete(); !ok {
				t.Error("not complete after the restart")
			}
		}
	})
}

func TestWithoutAWatcherEverythingIsComparedEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := run(t, func(context.Context, sdk.WatchRequest, sdk.Reporter) error {
			return errors.New("too many inotify instances")
		}, 0)
		time.Sleep(10*unwatchedRescan + time.Second)
		if got := l.take(); len(got) != 10 || got[0] != rescanAll {
			t.Errorf("in ten minutes: %v", got)
		}
	})
}

func TestUnwatchedSubtreesAreComparedEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raised := make(chan struct{})
		_, l := run(t, func(ctx context.Context, _ sdk.WatchRequest, rep sdk.Reporter) error {
			rep.Ready()
			rep.Unwatched([]string{"a/b", "c"}, "watch limit")
			<-raised
			rep.Unwatched(nil, "")
			<-ctx.Done()
			return nil
		}, 0)
		both := []sdk.Change{{Path: "a/b", Scope: sdk.ScopeSubtree}, {Path: "c", Scope: sdk.ScopeSubtree}}
		if got := l.take(); !slices.Equal(got, append([]sdk.Change{rescanAll}, both...)) {
			t.Errorf("at the limit: %v", got)
		}
		time.Sleep(unwatchedRescan + time.Second)
		if got := l.take(); !slices.Equal(got, both) {
			t.Errorf("a minute later: %v", got)
		}
		close(raised)
		if got := l.take(); !slices.Equal(got, both) {
			t.Errorf("what nobody watched until now is compared once more: %v", got)
		}
		time.Sleep(5 * unwatchedRescan)
		if got := l.take(); len(got) != 0 {
			t.Errorf("after the limit was raised: %v", got)
		}
	})
}

// A watcher that starts and fails again and again costs a comparison each time: ever more rarely.
func TestWatcherThatFailsAfterReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := run(t, func(_ context.Context, _ sdk.WatchRequest, rep sdk.Reporter) error {
			rep.Ready()
			return errors.New("panic")
		}, 0)
		time.Sleep(10 * time.Minute)
		if got := len(l.take()); got < 20 || got > 60 {
			t.Errorf("%d comparisons in ten minutes", got)
		}
	})
}

func TestPeriodicRescan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := run(t, func(ctx context.Context, _ sdk.WatchRequest, rep sdk.Reporter) error {
			rep.Ready()
			<-ctx.Done()
			return nil
		}, time.Hour)
		l.take()
		time.Sleep(40 * time.Minute)
		if got := l.take(); len(got) != 0 {
			t.Errorf("before three quarters of the interval: %v", got)
		}
		time.Sleep(100 * time.Hour)
		if got := len(l.take()); got < 80 || got > 134 {
			t.Errorf("%d rescans in 100 hours", got)
		}
	})
}

func TestLostRootIsLookedForOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		_, l := run(t, func(ctx context.Context, _ sdk.WatchRequest, rep sdk.Reporter) error {
			if tries++; tries < 1000 {
				return sdk.RootLost(errors.New("no such directory"))
			}
			rep.Ready()
			<-ctx.Done()
			return nil
		}, 0)
		time.Sleep(1000 * lostPoll)
		if got := l.take(); !slices.Contains(got, rescanAll) || tries != 1000 {
			t.Errorf("%d tries, changes %v", tries, got)
		}
	})
}
