package watch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/fstype"
)

// probation is how long a watcher that is tried may take until it watches: a plugin that has to be
// started takes 15 s at most, its own try with a real event 5 s.
const probation = 30 * time.Second

// Auto is a watcher that takes, each time it is started, the one that fits the root:
//
//   - poll where other hosts or programs make changes, with inotify beside it for those made here;
//   - fanotify where the tree is large, or more than inotify can watch, and it is to be had;
//   - inotify elsewhere.
//
// When inotify comes to its limit later, fanotify takes over if it sees more.
type Auto struct {
	Inotify, Fanotify, Poll sdk.Watcher
	Logger                  hclog.Logger

	typeOf  func(root string) (fstype.Type, error)                 // nil = fstype.Of
	isLarge func(ctx context.Context, req sdk.WatchRequest) string // nil = large

	mu        sync.Mutex // guards all below
	name, why string     // of the choice
}

var _ sdk.Watcher = (*Auto)(nil)

// Choice returns the name of the watcher at work and why it was chosen; "" before.
func (a *Auto) Choice() (name, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.name, a.why
}

// chose notes and logs a choice.
func (a *Auto) chose(req sdk.WatchRequest, name, why string) {
	a.mu.Lock()
	same := a.name == name && a.why == why
	a.name, a.why = name, why
	a.mu.Unlock()
	if !same {
		a.Logger.Info("watcher chosen", "watcher", name, "root", req.Root, "why", why)
	}
}

// Watch watches as the chosen watcher does.
func (a *Auto) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	kind := a.kind(ctx, req.Root)
	watch := a.local
	if kind.Remote {
		watch = a.remote
	}
	err := watch(ctx, req, r, kind)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// kind returns the type of the root's file system. Of a root that cannot be looked at the watcher tells
// more. A server that does not answer is waited for, as long as ctx lasts.
func (a *Auto) kind(ctx context.Context, root string) fstype.Type {
	typeOf := a.typeOf
	if typeOf == nil {
		typeOf = fstype.Of
	}
	kind := make(chan fstype.Type, 1)
	go func() {
		t, _ := typeOf(root)
		kind <- t
	}()
	select {
	case t := <-kind:
		return t
	case <-ctx.Done():
		return fstype.Type{}
	}
}

// local watches a root that only this kernel changes.
func (a *Auto) local(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter, _ fstype.Type) error {
	isLarge := a.isLarge
	if isLarge == nil {
		isLarge = large
	}
	relay := newRelay(ctx, req, r)
	defer relay.close()
	why := "on a local file system every change causes an event"
	if large := isLarge(ctx, req); large != "" {
		fanotify := relay.start(a.Fanotify, true)
		err := fanotify.probation(ctx)
		if err == nil {
			a.chose(req, "fanotify", large)
			return fanotify.wait()
		}
		fanotify.end()
		if ctx.Err() != nil || sdk.IsRootLost(err) {
			return err
		}
		why = fmt.Sprintf("%s, but fanotify cannot be used: %v", large, err)
	}
	a.chose(req, "inotify", why)
	inotify := relay.start(a.Inotify, true)
	return a.mend(ctx, req, relay, inotify, why)
}

// mend lets inotify watch, and looks for something better once it does not see all. Why is why it was chosen.
func (a *Auto) mend(ctx context.Context, req sdk.WatchRequest, relay *relay, inotify *source, why string) error {
	var hopeless []string // what fanotify does not see either, as far as it was tried
	whyStill := why       // the reason to stay with inotify all the same
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-inotify.done:
			turn.Wait(ctx)
			err := inotify.err
			if ctx.Err() != nil || inotify.wasReady() || sdk.IsRootLost(err) || covers(hopeless, "") {
				return err
			}
			fanotify := relay.start(a.Fanotify, true)
			if other := fanotify.probation(ctx); other != nil {
				fanotify.end()
				a.Logger.Debug("fanotify cannot be used", "err", other)
				return err
			}
			a.chose(req, "fanotify", fmt.Sprintf("inotify cannot be used: %v", err))
			return fanotify.wait()
		case <-inotify.news:
		}
		turn.Wait(ctx)
		unwatched, reason := inotify.blind()
		if len(unwatched) == 0 {
			a.chose(req, "inotify", why)
			continue
		}
		if len(without(unwatched, hopeless)) == 0 {
			a.chose(req, "inotify", whyStill)
			continue
		}
		fanotify := relay.start(a.Fanotify, false)
		err := fanotify.probation(inotify.ctx)
		if err == nil {
			err = fanotify.prove(inotify.ctx)
		}
		if inotify.ctx.Err() != nil { // it has ended
			fanotify.end()
			continue
		}
		if err != nil {
			fanotify.end()
			hopeless, whyStill = []string{""}, fmt.Sprintf("it does not see everything, but fanotify cannot be used: %v", err)
			a.chose(req, "inotify", whyStill)
			continue
		}
		also, _ := fanotify.blind()
		if len(without(unwatched, also)) == 0 {
			fanotify.end()
			hopeless = also
			continue
		}
		a.chose(req, "fanotify", "inotify does not see everything: "+reason)
		relay.hand(fanotify)
		inotify.end()
		return fanotify.wait()
	}
	return ctx.Err()
}

// remote watches a root that is changed elsewhere too.
func (a *Auto) remote(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter, kind fstype.Type) error {
	a.chose(req, pollName, fmt.Sprintf("other hosts or programs change what is on this file system (%s) and the kernel does not tell; inotify runs beside it for what is changed here", kind.Name))
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	gate := &gate{Reporter: r, ready: make(chan struct{})}
	wg.Go(func() { a.accelerate(ctx, req, gate) })
	return a.Poll.Watch(ctx, req, gate)
}

// accelMin and accelMax bound how often inotify is tried beside polling, which does not need it.
const (
	accelMin = time.Second
	accelMax = 10 * time.Minute
)

// errUntried says that a watcher did not get far enough to be judged.
var errUntried = errors.New("it was not ready within " + probation.String())
