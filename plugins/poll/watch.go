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
}

// watch is one watched root: it says when to look, and what was proved by that.
type watch struct {
	// pass looks at the tree and reports what has changed; an error ends the watch.
	pass     func(ctx context.Context, light bool) (outcome, error)
	progress func() uint64 // moves as long as pass sees something; may be called meanwhile
	reporter sdk.Reporter
	barriers <-chan sdk.Barrier
	pace     pace

	waiting   []sdk.Barrier // received, and no full pass has begun since
	complete  bool          // the last pass was; barriers hurry no other one
	unwatched []string      // as last reported
	reason    string
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
		o    outcome
		err  error
		done = make(chan struct{})
	)
	go func() {
		defer close(done)
		o, err = w.pass(ctx, light)
	}()
	seen := w.progress()
	check := time.NewTicker(stall)
	defer check.Stop()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case b := <-w.barriers:
			w.waiting = append(w.waiting, b)
		case <-check.C:
			now := w.progress()
			if now == seen && !first {
				w.report([]string{""}, fmt.Sprintf("the file system has not answered for %s: see whether its server can be reached", stall))
			}
			seen = now
		}
	}
	if err != nil || ctx.Err() != nil {
		return err
	}
	w.pace.done(light, began, o.cost)
	w.complete = o.complete
	if first {
		w.reporter.Ready()
	}
	w.report(o.unwatched, o.reason)
	if !o.complete {
		w.waiting = append(proved, w.waiting...)
		return nil
	}
	for _, b := range proved {
		b.Reached()
	}
	return nil
}

// report reports what is not watched if that has changed.
func (w *watch) report(paths []string, reason string) {
	if slices.Equal(paths, w.unwatched) && reason == w.reason {
		return
	}
	w.unwatched, w.reason = paths, reason
	w.reporter.Unwatched(paths, reason)
}
