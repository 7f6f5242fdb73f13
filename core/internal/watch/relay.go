package watch

import (
	"context"
	"sync"
	"time"

	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
)

// relay passes on what one of several watchers of a root reports: the live one.
type relay struct {
	ctx    context.Context
	cancel context.CancelFunc
	req    sdk.WatchRequest
	to     sdk.Reporter
	wg     sync.WaitGroup

	mu   sync.Mutex // guards all below, and the order in which to is told about Ready and Unwatched
	live *source
}

// newRelay returns a relay that runs no watcher yet. Close must be called.
func newRelay(ctx context.Context, req sdk.WatchRequest, to sdk.Reporter) *relay {
	ctx, cancel := context.WithCancel(ctx)
	r := &relay{ctx: ctx, cancel: cancel, req: req, to: to}
	asking := turn.As(ctx, "relay")
	r.wg.Go(func() { r.ask(asking) })
	return r
}

// close ends all watchers and waits until they have.
func (r *relay) close() {
	r.cancel()
	r.wg.Wait()
}

// ask passes the barriers on to the live watcher. One that is lost with its watcher is asked for again by
// who is told that another one has taken over.
func (r *relay) ask(ctx context.Context) {
	for {
		select {
		case <-r.ctx.Done():
			return
		case b := <-r.req.Barriers:
			turn.Wait(ctx)
			r.mu.Lock()
			live := r.live
			r.mu.Unlock()
			if live == nil {
				continue
			}
			select {
			case live.barriers <- b:
			case <-live.ctx.Done():
			}
		}
	}
}

// source is one watcher, and what it has said so far.
type source struct {
	relay    *relay
	ctx      context.Context
	cancel   context.CancelFunc
	barriers chan sdk.Barrier
	ready    chan struct{} // closed when it is
	news     chan struct{} // capacity 1: what it does not see has changed
	done     chan struct{} // closed when it has ended; err is set then
	err      error

	// Guarded by the mutex of relay:
	unwatched []string
	reason    string
}

// start starts a watcher, which is the live one from now on if live is set.
func (r *relay) start(w sdk.Watcher, live bool) *source {
	ctx, cancel := context.WithCancel(r.ctx)
	s := &source{
		relay: r, ctx: ctx, cancel: cancel, barriers: make(chan sdk.Barrier),
		ready: make(chan struct{}), news: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if live {
		r.mu.Lock()
		r.live = s
		r.mu.Unlock()
	}
	req := r.req
	req.Barriers = s.barriers
	r.wg.Go(func() {
		defer close(s.done)
		defer cancel()
		s.err = w.Watch(ctx, req, s)
	})
	return s
}

// hand makes s, which is ready, the live watcher. All is compared, for what it has reported before was
// not passed on.
func (r *relay) hand(s *source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live = s
	r.to.Change(sdk.Change{Scope: sdk.ScopeSubtree})
	r.to.Unwatched(s.unwatched, s.reason)
}

func (s *source) isLive() bool {
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	return s.relay.live == s
}

// Ready implements sdk.Reporter.
func (s *source) Ready() {
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	close(s.ready)
	if s.relay.live == s {
		s.relay.to.Ready()
	}
}

// Change implements sdk.Reporter.
func (s *source) Change(c sdk.Change) {
	if s.isLive() {
		s.relay.to.Change(c)
	}
}

// Unwatched implements sdk.Reporter.
func (s *source) Unwatched(paths []string, reason string) {
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.unwatched, s.reason = paths, reason
	if s.relay.live == s {
		s.relay.to.Unwatched(paths, reason)
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// blind returns what s does not see, and why.
func (s *source) blind() ([]string, string) {
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	return s.unwatched, s.reason
}

func (s *source) wasReady() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// end ends s and waits until it has.
func (s *source) end() {
	s.cancel()
	<-s.done
}

// wait returns how s ends.
func (s *source) wait() error {
	<-s.done
	return s.err
}

// probation waits until s is ready. It fails when s does, or takes too long.
func (s *source) probation(ctx context.Context) error {
	timeout := time.NewTimer(probation)
	defer timeout.Stop()
	select {
	case <-s.ready:
		turn.Wait(ctx)
		return nil
	case <-s.done:
		turn.Wait(ctx)
		return s.err
	case <-timeout.C:
		return errUntried
	case <-ctx.Done():
		return ctx.Err()
	}
}

// prove waits until s, which is not live, has told what it does not see.
func (s *source) prove(ctx context.Context) error {
	reached := make(chan struct{})
	timeout := time.NewTimer(probation)
	defer timeout.Stop()
	select {
	case s.barriers <- sdk.NewBarrier(func() { close(reached) }):
	case <-s.done:
		return s.err
	case <-timeout.C:
		return errUntried
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-reached:
		turn.Wait(ctx)
		return nil
	case <-s.done:
		return s.err
	case <-timeout.C:
		return errUntried
	case <-ctx.Done():
		return ctx.Err()
	}
}
