package core

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/state"
	"github.com/filewatch/filewatch/sdk"
)

// The simulation catches what it is there to catch: with each of these bugs, put in on purpose, some seed
// breaks a promise.
func TestSimulationCatches(t *testing.T) {
	frugal(t)
	root := t.TempDir()
	for _, bug := range simBugs {
		t.Run(strings.ReplaceAll(bug.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= 300; seed++ {
				if violation, _ := simulate(t, root, seed, bug, false); violation != "" {
					t.Logf("seed %d: %s", seed, violation)
					return
				}
			}
			t.Error("no seed has caught it")
		})
	}
}

var simBugs = []simBug{
	{name: "failed paths are confirmed", transport: after(func(r *sdk.Result, err *error) { r.Failed = nil })},
	{name: "failed transfers are confirmed", transport: after(func(_ *sdk.Result, err *error) { *err = nil })},
	{name: "withheld deletions are forgotten", transport: after(func(r *sdk.Result, _ *error) { r.Withheld = sdk.Withheld{} })},
	{name: "max_delete is ignored", transport: before(func(r *sdk.SyncRequest) { r.MaxDelete = 0 })},
	{name: "deletions of failed transfers do not count", transport: func(_ *simWorld, t sdk.Transport) sdk.Transport { return uncounted{t} }},
	{name: "what is excluded is sent and deleted", transport: before(func(r *sdk.SyncRequest) { r.Exclude = nil })},
	{name: "what mounts hide is not left alone", transport: before(func(r *sdk.SyncRequest) { r.Exclude = r.Exclude[len(r.Exclude)-2:] })},
	{name: "subtrees are taken for paths", transport: before(func(r *sdk.SyncRequest) {
		for i, c := range r.Changes {
			if c.Path != "" {
				r.Changes[i].Scope = sdk.ScopePath
			}
		}
	})},
	{name: "a large batch is cut off", transport: before(func(r *sdk.SyncRequest) { r.Changes = r.Changes[:min(4, len(r.Changes))] })},
	{name: "a transfer outlives its call", transport: func(_ *simWorld, t sdk.Transport) sdk.Transport { return &outliving{Transport: t} }},
	{name: "changes during a transfer are dropped", watcher: reporting(func(w *simWorld, r sdk.Reporter) sdk.Reporter {
		return &filtered{r, func(c sdk.Change) bool { return !w.busy() }}
	})},
	{name: "overflows are dropped", watcher: reporting(func(_ *simWorld, r sdk.Reporter) sdk.Reporter {
		return &filtered{r, func(c sdk.Change) bool { return c.Path != "" || c.Scope == sdk.ScopePath }}
	})},
	{name: "removals are dropped", watcher: reporting(func(_ *simWorld, r sdk.Reporter) sdk.Reporter {
		return &filtered{r, func(c sdk.Change) bool { return c.Ops != sdk.OpRemove }}
	})},
	{name: "what is not watched is kept quiet", watcher: reporting(func(_ *simWorld, r sdk.Reporter) sdk.Reporter { return &blind{r} })},
	{name: "flush without a barrier", watcher: func(_ *simWorld, w sdk.Watcher) sdk.Watcher { return &hasty{w} }},
	{name: "the guard always says yes", look: func(_ *simWorld, l guard.Looker) guard.Looker { return &trusting{Looker: l} }},
	{name: "the guard knows nothing of identity", look: func(_ *simWorld, l guard.Looker) guard.Looker { return alike{l} }},
	{name: "holds are forgotten at a restart", store: func(_ *simWorld, s state.Store) state.Store { return lenient{s} }},
	{name: "a watcher that is away counts as watching", watcher: func(_ *simWorld, w sdk.Watcher) sdk.Watcher { return clinging{w} }},
	{name: "large files are left out and forgotten", transport: after(func(r *sdk.Result, _ *error) { r.Large = nil })},
	{name: "what is busy is sent", transport: before(func(r *sdk.SyncRequest) { r.Busy = nil })},
	{name: "nothing is remembered", store: func(_ *simWorld, s state.Store) state.Store { return forgetful{s} }},
}

// after and before change what goes through a transport.
func after(change func(*sdk.Result, *error)) func(*simWorld, sdk.Transport) sdk.Transport {
	return func(_ *simWorld, t sdk.Transport) sdk.Transport { return changed{t, func(*sdk.SyncRequest) {}, change} }
}

func before(change func(*sdk.SyncRequest)) func(*simWorld, sdk.Transport) sdk.Transport {
	return func(_ *simWorld, t sdk.Transport) sdk.Transport {
		return changed{t, change, func(*sdk.Result, *error) {}}
	}
}

type changed struct {
	sdk.Transport
	before func(*sdk.SyncRequest)
	after  func(*sdk.Result, *error)
}

func (c changed) Sync(ctx context.Context, req sdk.SyncRequest, progress func(sdk.Progress)) (sdk.Result, error) {
	c.before(&req)
	r, err := c.Transport.Sync(ctx, req, progress)
	if ctx.Err() == nil {
		c.after(&r, &err)
	}
	return r, err
}

// uncounted keeps quiet about deletions until the end.
type uncounted struct{ sdk.Transport }

func (u uncounted) Sync(ctx context.Context, req sdk.SyncRequest, progress func(sdk.Progress)) (sdk.Result, error) {
	return u.Transport.Sync(ctx, req, func(p sdk.Progress) {
		p.Deleted = 0
		progress(p)
	})
}

// outliving gives up a transfer that takes long, which goes on all the same.
type outliving struct{ sdk.Transport }

func (o *outliving) Sync(ctx context.Context, req sdk.SyncRequest, progress func(sdk.Progress)) (r sdk.Result, err error) {
	early, cancel := context.WithTimeout(ctx, simPatience)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err = o.Transport.Sync(ctx, req, func(sdk.Progress) {})
	}()
	select {
	case <-done:
		return r, err
	case <-early.Done():
		if ctx.Err() != nil {
			<-done
		}
		return sdk.Result{}, errPlain
	}
}

// busy reports whether a transfer is under way.
func (w *simWorld) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.dests {
		if len(d.running) > 0 {
			return true
		}
	}
	return false
}

// reporting changes what goes from a watcher to the core.
func reporting(wrap func(*simWorld, sdk.Reporter) sdk.Reporter) func(*simWorld, sdk.Watcher) sdk.Watcher {
	return func(w *simWorld, next sdk.Watcher) sdk.Watcher {
		return watcherFunc(func(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
			return next.Watch(ctx, req, wrap(w, r))
		})
	}
}

type watcherFunc func(context.Context, sdk.WatchRequest, sdk.Reporter) error

func (f watcherFunc) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	return f(ctx, req, r)
}

// filtered passes on the changes that a function wants.
type filtered struct {
	sdk.Reporter
	want func(sdk.Change) bool
}

func (f *filtered) Change(c sdk.Change) {
	if f.want(c) {
		f.Reporter.Change(c)
	}
}

type blind struct{ sdk.Reporter }

func (*blind) Unwatched([]string, string) {}

// hasty has told everything as soon as it is asked.
type hasty struct{ sdk.Watcher }

func (h *hasty) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	ctx, cancel := context.WithCancel(ctx)
	barriers := req.Barriers
	req.Barriers = nil
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case b := <-barriers:
				b.Reached()
			case <-ctx.Done():
				return
			}
		}
	}()
	err := h.Watcher.Watch(ctx, req, r)
	cancel()
	<-done
	return err
}

// trusting sees what was there when it looked first.
type trusting struct {
	guard.Looker
	once  sync.Once
	sight guard.Sight
}

func (t *trusting) Look(root string, ignored func(string, bool) bool) (guard.Sight, error) {
	t.once.Do(func() { t.sight, _ = t.Looker.Look(root, ignored) })
	sight := t.sight
	sight.Empty, sight.Identity.Inode = false, 1
	return sight, nil
}

// alike cannot tell one directory from another.
type alike struct{ guard.Looker }

func (a alike) Look(root string, ignored func(string, bool) bool) (guard.Sight, error) {
	sight, err := a.Looker.Look(root, ignored)
	sight.Identity.Inode = 1
	return sight, err
}

type forgetful struct{ state.Store }

func (forgetful) Load(string) (state.Sync, error) { return state.Sync{}, nil }

// lenient forgets holds.
type lenient struct{ state.Store }

func (l lenient) Load(name string) (state.Sync, error) {
	s, err := l.Store.Load(name)
	for i := range s.Destinations {
		s.Destinations[i].Hold = nil
	}
	return s, err
}

// clinging says nothing of its end for a while. It proves nothing either.
type clinging struct{ sdk.Watcher }

func (c clinging) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	err := c.Watcher.Watch(ctx, req, r)
	select {
	case <-time.After(20 * time.Second):
	case <-ctx.Done():
	}
	return err
}
