package watch

import (
	"context"
	"time"

	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
)

// rescanJitter spreads the periodic comparisons by this share to either side, so that many roots on one
// disk are not read at once.
const rescanJitter = 0.25

// rescan reports what has to be compared because of the time, until ctx ends.
func (r *Root) rescan(ctx context.Context) {
	unwatched := time.NewTicker(unwatchedRescan)
	defer unwatched.Stop()
	var all <-chan time.Time
	if r.config.Rescan > 0 {
		all = time.After(r.jittered(r.config.Rescan))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-unwatched.C:
			turn.Wait(ctx)
			r.mu.Lock()
			paths, _ := r.unseen()
			r.mu.Unlock()
			r.compare(paths)
		case <-all:
			turn.Wait(ctx)
			if r.config.Periodic != nil {
				r.config.Periodic()
			} else {
				r.config.Change(sdk.Change{Scope: sdk.ScopeSubtree})
			}
			all = time.After(r.jittered(r.config.Rescan))
		}
	}
}

func (r *Root) jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - rescanJitter + 2*rescanJitter*r.config.Rand()))
}
