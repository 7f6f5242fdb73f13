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
	"github.com/filewatch/filewatch/sdk/fstype"
)

// choosing is a root with an automatic choice among fakes.
type choosing struct {
	*Root
	*log
	t                       *testing.T
	auto                    *Auto
	inotify, fanotify, poll *fake
}

func startAuto(t *testing.T, kind fstype.Type, large string) *choosing {
	c := &choosing{log: &log{}, t: t, inotify: newFake(), fanotify: newFake(), poll: newFake()}
	c.auto = &Auto{
		Inotify: c.inotify, Fanotify: c.fanotify, Poll: c.poll, Logger: hclog.NewNullLogger(),
		typeOf:  func(string) (fstype.Type, error) { return kind, nil },
		isLarge: func(context.Context, sdk.WatchRequest) string { return large },
	}
	c.Root = New(Config{Watcher: c.auto, Choice: c.auto.Choice, Fallback: c.poll,
		Request: sdk.WatchRequest{Root: "/r"}, Change: c.add, Logger: hclog.NewNullLogger()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return c
}

// at fails the test unless this watcher is at work, for a reason with these words.
func (c *choosing) at(name, why string) {
	c.t.Helper()
	synctest.Wait()
	if got, reason := c.auto.Choice(); got != name || !strings.Contains(reason, why) {
		c.t.Errorf("%s because %q, want %s because of %q", got, reason, name, why)
	}
}

// proved reports whether a proof comes when these have answered.
func (c *choosing) proved(runs ...*fakeRun) bool {
	c.t.Helper()
	reached := false
	c.Prove(func() { reached = true })
	for _, r := range runs {
		r.barrier(c.t).Reached()
	}
	synctest.Wait()
	return reached
}

func TestAutoLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startAuto(t, fstype.Type{}, "")
		run := c.inotify.next()
		run.Ready()
		c.at("inotify", "local file system")
		if !c.proved(run) || c.fanotify.next() != nil || c.poll.next() != nil {
			t.Error("not by inotify alone")
		}
	})
}

func TestAutoLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startAuto(t, fstype.Type{}, "the tree is large")
		run := c.fanotify.next()
		run.Ready()
		c.at("fanotify", "the tree is large")
		c.take()
		run.Change(sdk.Change{Path: "a"})
		if got := c.take(); !slices.Equal(got, []sdk.Change{{Path: "a"}}) {
			t.Errorf("got %v", got)
		}
		run.Unwatched([]string{"fuse"}, "no file handles")
		synctest.Wait()
		time.Sleep(2 * followSettle)
		poll := c.poll.next()
		poll.Ready()
		if !c.proved(run, poll) {
			t.Error("not proved by both")
		}

		// It fails later: it is tried again, then inotify.
		run.end <- errors.New("marks are gone")
		time.Sleep(2 * retryMin)
		c.fanotify.next().end <- sdk.Misconfigured(errors.New("no privilege"))
		c.inotify.next().Ready()
		c.at("inotify", "the tree is large, but fanotify cannot be used: no privilege")
	})
}

func TestAutoFanotifyThatDoesNotGetReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startAuto(t, fstype.Type{}, "the tree is large")
		run := c.fanotify.next()
		time.Sleep(2 * probation)
		if !run.over() {
			t.Error("it was not ended")
		}
		c.inotify.next().Ready()
		c.at("inotify", "not ready within 30s")
	})
}

// At the watch limit fanotify takes over once it is ready, and not before; all is compared then.
func TestAutoAtTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startAuto(t, fstype.Type{}, "")
		inotify := c.inotify.next()
		inotify.Ready()
		c.take()
		inotify.Unwatched([]string{"a", "fuse"}, "max_user_watches")
		fanotify := c.fanotify.next()
		inotify.Change(sdk.Change{Path: "b"})
		fanotify.Ready()
		fanotify.Change(sdk.Change{Path: "c"})
		fanotify.Unwatched([]string{"fuse"}, "no file handles")
		synctest.Wait()
		if got := c.take(); !slices.Equal(got, []sdk.Change{{Path: "b"}}) || inotify.over() {
			t.Errorf("before it has told what it sees: %v", got)
		}
		asked := false
		c.Prove(func() { asked = true })
		fanotify.barrier(t).Reached()
		c.at("fanotify", "inotify does not see everything: max_user_watches")
		if got := c.take(); !slices.Contains(got, sdk.Change{Scope: sdk.ScopeSubtree}) || !inotify.over() {
			t.Errorf("after it has taken over: %v", got)
		}
		inotify.Change(sdk.Change{Path: "stale"})
		fanotify.Change(sdk.Change{Path: "d"})
		if got := c.take(); !slices.Equal(got, []sdk.Change{{Path: "d"}}) {
			t.Errorf("got %v", got)
		}
		time.Sleep(5 * time.Second)
		poll := c.poll.next()
		for next := c.poll.next(); next != nil; next = c.poll.next() {
			poll = next
		}
		poll.Ready()
		if !slices.Equal(poll.req.Only, []string{"fuse"}) {
			t.Errorf("polled: %q", poll.req.Only)
		}
		fanotify.barrier(t).Reached()
		poll.barrier(t).Reached()
		synctest.Wait()
		if !asked {
			t.Error("who has asked before is forgotten")
		}
	})
}

// Where fanotify sees no more than inotify, or nothing, it is not tried again for the same.
func TestAutoWithoutABetterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startAuto(t, fstype.Type{}, "")
		inotify := c.inotify.next()
		inotify.Ready()
		inotify.Unwatched([]string{"fuse"}, "foreign")
		fanotify := c.fanotify.next()
		fanotify.Ready()
		fanotify.Unwatched([]string{"fuse"}, "foreign")
		fanotify.barrier(t).Reached()
		if !fanotify.over() || inotify.over() {
			t.Error("fanotify sees no more")
		}
		c.at("inotify", "local")
		inotify.Unwatched(nil, "")
		inotify.Unwatched([]string{"fuse/sub"}, "foreign")
		if c.fanotify.next() != nil {
			t.Error("tried again for the same")
		}
		inotify.Unwatched([]string{"dir", "fuse"}, "limit")
		c.fanotify.next().end <- sdk.Misconfigured(errors.New("no privilege"))
		c.at("inotify", "fanotify cannot be used: no privilege")
		inotify.Unwatched(nil, "")
		c.at("inotify", "local")
		inotify.Unwatched([]string{"dir", "dir2", "fuse"}, "limit")
		if c.fanotify.next() != nil || inotify.over() {
			t.Error("tried again without privilege")
		}
		c.at("inotify", "fanotify cannot be used: no privilege")
		time.Sleep(2 * followSettle)
		if c.poll.next() == nil {
			t.Error("not polled either")
		}
	})
}

// Without inotify at all fanotify is next, then polling.
func TestAutoWithoutInotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startAuto(t, fstype.Type{}, "")
		c.inotify.next().end <- sdk.Misconfigured(errors.New("max_user_instances"))
		run := c.fanotify.next()
		run.Ready()
		c.at("fanotify", "inotify cannot be used: max_user_instances")
		if ok, _ := c.Complete(); !ok {
			t.Error("not complete")
		}
		run.end <- errors.New("gone")
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if run := c.inotify.next(); run != nil {
				run.end <- sdk.Misconfigured(errors.New("max_user_instances"))
			}
			if run := c.fanotify.next(); run != nil {
				run.end <- errors.New("gone")
			}
			if run := c.poll.next(); run != nil {
				run.Ready()
			}
		}
		if s := c.Status(); !s.Watched || s.Watcher != "poll" || !strings.Contains(s.Degraded, "max_user_instances") {
			t.Errorf("%+v", s)
		}
	})
}

func TestAutoRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startAuto(t, fstype.Type{Name: "NFS", Remote: true}, "")
		poll := c.poll.next()
		if c.inotify.next() != nil {
			t.Error("inotify runs before polling is ready")
		}
		poll.Ready()
		c.at("poll", "NFS")
		inotify := c.inotify.next()
		c.take()
		inotify.Ready()
		inotify.Unwatched([]string{""}, "foreign")
		inotify.Change(sdk.Change{Scope: sdk.ScopeSubtree})
		inotify.Change(sdk.Change{Path: "a", Ops: sdk.OpClose})
		inotify.Change(sdk.Change{Path: "d", Scope: sdk.ScopeSubtree})
		if got := c.take(); !slices.Equal(got, []sdk.Change{{Path: "a", Ops: sdk.OpClose}, {Path: "d", Scope: sdk.ScopeSubtree}}) {
			t.Errorf("got %v", got)
		}
		if ok, _ := c.Complete(); !ok || !c.proved(poll) {
			t.Error("it is polling that proves")
		}
		inotify.end <- errors.New("limit")
		synctest.Wait()
		if ok, _ := c.Complete(); !ok || len(c.take()) != 0 {
			t.Error("it matters that inotify fails")
		}
		time.Sleep(2 * accelMin)
		if c.inotify.next() == nil {
			t.Error("inotify is not tried again")
		}
		poll.Unwatched([]string{"d"}, "permission")
		time.Sleep(time.Second)
		if c.poll.next() != nil {
			t.Error("polled by two")
		}
		poll.end <- sdk.RootLost(errors.New("unmounted"))
		time.Sleep(lostPoll + time.Millisecond)
		if c.poll.next() == nil {
			t.Error("not tried again")
		}
	})
}

func TestAutoLargeRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startAuto(t, fstype.Type{Name: "NFS", Remote: true}, "the tree is large")
		c.poll.next().Ready()
		if c.inotify.next() != nil {
			t.Error("it would take the watches that others need")
		}
	})
}

// A server that does not answer holds up nothing but its own root.
func TestAutoSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		a := &Auto{Logger: hclog.NewNullLogger(), typeOf: func(string) (fstype.Type, error) {
			<-answer
			return fstype.Type{}, nil
		}, isLarge: func(context.Context, sdk.WatchRequest) string { return "" }, Inotify: newFake()}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Watch(ctx, sdk.WatchRequest{}, nil) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		close(answer)
	})
}
