package watch

import (
	"context"
	"slices"
	"time"

	"github.com/filewatch/filewatch/core/internal/backoff"
	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
)

const (
	// pollName is the name of the watcher that the fallback is.
	pollName = "poll"
	// followSettle gathers changes of what has to be polled: they come in bursts, and a watcher that is
	// ready again tells a moment later what it does not see.
	followSettle = 100 * time.Millisecond
	// To follow a change costs a look at all that is polled. It takes no more than a tenth of the time,
	// as polling itself does.
	followShare = 10
	// handOver is how long the stream that is replaced may take to prove that it has told everything.
	handOver = time.Minute
	// A fallback that fails is opened again after a second, then ever more rarely up to a minute.
	fallbackMin = time.Second
	fallbackMax = time.Minute
)

// fallback returns the watcher that polls what the other one does not see; nil when there is none.
func (r *Root) fallback() sdk.Watcher {
	if r.config.Choice != nil {
		if name, _ := r.config.Choice(); name == pollName {
			return nil
		}
	}
	return r.config.Fallback
}

// wanted returns what has to be polled, and for how long that is certain; 0 = until r.follow tells.
func (r *Root) wanted(now []string) (only []string, until time.Duration) {
	if r.fallback() == nil {
		return nil, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready || r.lost {
		if r.lost {
			return nil, 0
		}
		return r.unwatched, 0
	}
	if left := time.Until(r.graceEnd); left > 0 {
		return now, left
	}
	return []string{""}, 0
}

// fallBack polls what the watcher does not see, until ctx ends.
func (r *Root) fallBack(ctx context.Context) {
	f := &follower{root: r, retry: backoff.Backoff{Min: fallbackMin, Max: fallbackMax, Rand: r.config.Rand}}
	defer func() {
		f.next.end()
		f.current.end()
	}()
	for ctx.Err() == nil {
		timer, stop := after(f.step(ctx))
		select {
		case <-ctx.Done():
		case <-timer:
			turn.Wait(ctx)
		case <-r.follow:
			turn.Wait(ctx)
			f.settle()
		case <-f.next.isReady():
			turn.Wait(ctx)
			f.replace(ctx)
		case <-f.next.isDone():
			turn.Wait(ctx)
			f.failed(ctx, f.next)
			f.next = nil
		case <-f.current.isDone():
			turn.Wait(ctx)
			f.failed(ctx, f.current)
			f.dismiss()
		}
		stop()
	}
}

// after returns a channel that tells when d is over, or never if d is 0.
func after(d time.Duration) (<-chan time.Time, func() bool) {
	if d == 0 {
		return nil, func() bool { return true }
	}
	t := time.NewTimer(d)
	return t.C, t.Stop
}

// follower keeps that polled which has to be.
type follower struct {
	root     *Root
	current  *poller // is ready, and counts; nil when there is none
	next     *poller // is getting ready; nil when there is none
	retry    backoff.Backoff
	failing  bool      // since the last success
	settleAt time.Time // what has to be polled is looked at again; zero when it has not changed
	retryAt  time.Time // it is opened again after a failure
	followAt time.Time // a change is followed again
}

// settle has what has to be polled looked at soon.
func (f *follower) settle() {
	if f.settleAt.IsZero() {
		f.settleAt = time.Now().Add(followSettle)
	}
}

// step does what can be done now, and returns when there will be something to do; 0 = when something
// happens.
func (f *follower) step(ctx context.Context) time.Duration {
	if wait := time.Until(f.settleAt); wait > 0 {
		return wait
	}
	f.settleAt = time.Time{}
	want, until := f.root.wanted(f.current.paths())
	if len(want) == 0 && until == 0 {
		f.next.end()
		f.next = nil
		if f.current != nil {
			f.dismiss()
		}
		f.retryAt, f.followAt, f.failing = time.Time{}, time.Time{}, false
		f.retry.Reset()
		return 0
	}
	if f.next != nil || slices.Equal(want, f.current.paths()) {
		return until
	}
	at := f.retryAt
	if !covers(want, "") && f.followAt.After(at) {
		at = f.followAt
	}
	if wait := time.Until(at); wait > 0 {
		return wait
	}
	f.next = f.root.poll(ctx, want)
	return until
}

// replace makes next, which is ready, the stream that counts. Nothing goes unseen in between: what nobody
// polled before is compared now, and of all else the stream before has told everything up to now.
func (f *follower) replace(ctx context.Context) {
	r, old := f.root, f.current
	f.followAt = time.Now().Add(followShare * time.Since(f.next.since))
	f.failing = false
	if !old.prove(ctx) {
		r.compare(f.next.only)
	} else {
		r.compare(without(f.next.only, old.paths()))
	}
	f.current, f.next = f.next, nil
	r.set(func() { r.polled = f.current })
	old.end()
	r.config.Logger.Info("polling what is not watched", "subtrees", len(f.current.only), "first", first(f.current.only))
}

// dismiss ends the stream that counts.
func (f *follower) dismiss() {
	f.root.set(func() { f.root.polled = nil })
	f.current.end()
	f.current = nil
}

// failed is called when p has ended by itself.
func (f *follower) failed(ctx context.Context, p *poller) {
	if ctx.Err() != nil {
		return
	}
	if p == f.current && time.Since(p.since) > healthy {
		f.retry.Reset()
	}
	wait := f.retry.Next()
	if sdk.IsRootLost(p.err) {
		wait = lostPoll
	}
	f.retryAt = time.Now().Add(wait)
	if f.failing {
		return
	}
	f.failing = true
	f.root.config.Logger.Warn("not polled either: compared every "+unwatchedRescan.String()+" until it is", "err", p.err)
	f.root.compare(p.only)
}

// poller is one run of the fallback. Its methods may be called on nil, which polls nothing.
type poller struct {
	root     *Root
	only     []string
	since    time.Time
	barriers chan sdk.Barrier
	cancel   context.CancelFunc
	ready    chan struct{} // closed when it is
	done     chan struct{} // closed when it has ended; err is set then
	err      error

	// Guarded by the mutex of root:
	unwatched []string
	reason    string
}

// poll opens the fallback for some subtrees.
func (r *Root) poll(ctx context.Context, only []string) *poller {
	ctx, cancel := context.WithCancel(ctx)
	p := &poller{
		root: r, only: only, since: time.Now(), cancel: cancel,
		barriers: make(chan sdk.Barrier, maxBarriers),
		ready:    make(chan struct{}), done: make(chan struct{}),
	}
	req := r.config.Request
	req.Config, req.Barriers, req.Only = nil, p.barriers, only
	if covers(only, "") {
		req.Only = nil
	}
	go func() {
		defer close(p.done)
		p.err = r.config.Fallback.Watch(ctx, req, p)
	}()
	return p
}

func (p *poller) paths() []string {
	if p == nil {
		return nil
	}
	return p.only
}

func (p *poller) isReady() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.ready
}

func (p *poller) isDone() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.done
}

// end ends p and waits until it has.
func (p *poller) end() {
	if p != nil {
		p.cancel()
		<-p.done
	}
}

// prove reports whether p has told everything that happened up to now. What polls nothing has not.
func (p *poller) prove(ctx context.Context) bool {
	if p == nil {
		return false
	}
	reached := make(chan struct{})
	select {
	case p.barriers <- sdk.NewBarrier(func() { close(reached) }):
	default:
		return false
	}
	timeout := time.NewTimer(handOver)
	defer timeout.Stop()
	select {
	case <-reached:
		turn.Wait(ctx)
		p.root.mu.Lock()
		defer p.root.mu.Unlock()
		return len(p.unwatched) == 0
	case <-p.done:
	case <-timeout.C:
	case <-ctx.Done():
	}
	return false
}

// Ready implements sdk.Reporter.
func (p *poller) Ready() { close(p.ready) }

// Change implements sdk.Reporter.
func (p *poller) Change(c sdk.Change) {
	if log := p.root.config.Logger; log.IsDebug() {
		log.Debug("change", "op", c.Ops.String(), "path", c.String(), "polled", true)
	}
	p.root.config.Change(c)
}

// Unwatched implements sdk.Reporter.
func (p *poller) Unwatched(paths []string, reason string) {
	var before []string
	p.root.set(func() {
		before = p.unwatched
		p.unwatched, p.reason = paths, reason
	})
	p.root.compare(without(before, paths))
	p.root.compare(without(paths, before))
	if len(paths) > 0 {
		p.root.config.Logger.Warn("partly not polled either: those subtrees are compared every "+unwatchedRescan.String(),
			"subtrees", len(paths), "first", first(paths), "err", reason)
	}
}
