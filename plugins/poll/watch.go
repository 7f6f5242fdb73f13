package poll

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// stall is how long a pass may see nothing at all before its root counts as not watched: a server that
// is away holds every call, for hours if it has to.
const stall = 30 * time.Second

// outcome is what a pass has come to.
type outcome struct {
	cost      time.Duration // of the processor or of waiting, whichever is more
	complete  bool          // the root could be read
	unwatched []string      // what could not be looked at, sorted
	reason    string
	lingers   time.Time // since when something does; zero = nothing
}

// watch is one watched root: it says when to look, and what was proved by that.
type watch struct {
	// pass looks at the tree and reports what has changed; an error ends the watch.
	pass func(ctx context.Context, light bool) (outcome, error)
	// settle reports what lingers no longer, and returns since when something does.
	settle   func() (since time.Time)
	progress func() uint64 // moves as long as pass sees something; may be called meanwhile
	reporter sdk.Reporter
	barriers <-chan sdk.Barrier
	pace     pace

	waiting   []sdk.Barrier // received, and no full pass has begun since
	passed    []passed      // of waiting, those for which something lingers
	lingers   bool          // something does
	settleAt  time.Time     // when to look at it again
	complete  bool          // the last pass was; barriers hurry no other one
	unwatched []string      // as last reported
	reason    string
}

// passed are barriers that a full pass has served. It ended at a time, and what lingers since before is still to
// be told.
type passed struct {
	barriers []sdk.Barrier
	at       time.Time
}

// run polls until ctx ends.
func (w *watch) run(ctx context.Context) error {
	if err := w.poll(ctx, false); err != nil || ctx.Err() != nil {
		return endOf(ctx, err)
	}
	for {
		at, light := w.pace.next()
		if len(w.waiting) > 0 && w.complete {
			at, light = time.Now(), false
		}
		settle := false
		if w.lingers && w.settleAt.Before(at) {
			at, settle = w.settleAt, true
		}
		timer := time.NewTimer(time.Until(at))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case b := <-w.barriers:
			timer.Stop()
			w.waiting = append(w.waiting, b)
			if !w.complete {
				continue
			}
			w.gather()
			light = false
		case <-timer.C:
			if settle {
				w.settleNow()
				continue
			}
		}
		if err := w.poll(ctx, light); err != nil || ctx.Err() != nil {
			return endOf(ctx, err)
		}
	}
}

// endOf returns what Watch returns: nothing that ctx caused is an error.
func endOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// gather receives the barriers that are waiting to be received: one pass serves them all.
func (w *watch) gather() {
	for {
		select {
		case b := <-w.barriers:
			w.waiting = append(w.waiting, b)
		default:
			return
		}
	}
}

// poll makes one pass, and goes on receiving barriers meanwhile: they are for the next one.
func (w *watch) poll(ctx context.Context, light bool) error {
	first := w.pace.last.IsZero()
	var proved []sdk.Barrier
	if !light {
		proved, w.waiting = w.waiting, nil
	}
	began := time.Now()
	var (
		o   outcome
		err error
	)
	w.await(!first, func() { o, err = w.pass(ctx, light) })
	if err != nil || ctx.Err() != nil {
		return err
	}
	w.pace.done(light, began, o.cost)
	w.complete = o.complete
	if first {
		w.reporter.Ready()
	}
	w.report(o.unwatched, o.reason)
	switch {
	case !o.complete:
		w.waiting = append(proved, w.waiting...)
	case len(proved) > 0:
		w.passed = append(w.passed, passed{proved, time.Now()})
	}
	w.release(o.lingers)
	return nil
}

// await calls f, goes on receiving barriers meanwhile, and reports it when the root does not answer.
func (w *watch) await(watched bool, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	seen := w.progress()
	check := time.NewTicker(stall)
	defer check.Stop()
	for {
		select {
		case <-done:
			return
		case b := <-w.barriers:
			w.waiting = append(w.waiting, b)
		case <-check.C:
			now := w.progress()
			if now == seen && watched {
				w.report([]string{""}, fmt.Sprintf("the file system has not answered for %s: see whether its server can be reached", stall))
			}
			seen = now
		}
	}
}

// settleNow looks at what lingers.
func (w *watch) settleNow() {
	began := time.Now()
	var since time.Time
	w.await(true, func() { since = w.settle() })
	w.release(since)
	w.settleAt = time.Now().Add(max(settleEvery, 10*time.Since(began)))
}

// release tells of the barriers for which nothing lingers any more; since is when the first began that does.
func (w *watch) release(since time.Time) {
	w.lingers = !since.IsZero()
	for len(w.passed) > 0 && (!w.lingers || w.passed[0].at.Before(since)) {
		for _, b := range w.passed[0].barriers {
			b.Reached()
		}
		w.passed = w.passed[1:]
	}
}

// report reports what is not watched if that has changed.
func (w *watch) report(paths []string, reason string) {
	if slices.Equal(paths, w.unwatched) && reason == w.reason {
		return
	}
	w.unwatched, w.reason = paths, reason
	w.reporter.Unwatched(paths, reason)
}
