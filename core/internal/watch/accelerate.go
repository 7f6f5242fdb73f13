package watch

import (
	"context"
	"sync"
	"time"

	"github.com/filewatch/filewatch/core/internal/backoff"
	"github.com/filewatch/filewatch/sdk"
)

// gate is the Reporter of the watcher that another one is to make faster.
type gate struct {
	sdk.Reporter
	ready chan struct{} // closed when it is
	once  sync.Once
}

// Ready implements sdk.Reporter.
func (g *gate) Ready() {
	g.Reporter.Ready()
	g.once.Do(func() { close(g.ready) })
}

// accelerate passes on what inotify sees, so that what is changed here is known before the next look.
// Nothing depends on it: what it does not see, or that it fails, matters to nobody. It leaves a large tree
// alone, for which it would take the watches that others need.
func (a *Auto) accelerate(ctx context.Context, req sdk.WatchRequest, g *gate) {
	select {
	case <-g.ready:
	case <-ctx.Done():
		return
	}
	isLarge := a.isLarge
	if isLarge == nil {
		isLarge = large
	}
	if why := isLarge(ctx, req); why != "" {
		a.Logger.Debug("inotify does not run beside polling", "why", why)
		return
	}
	req.Barriers, req.Config = nil, nil
	retry := backoff.Backoff{Min: accelMin, Max: accelMax}
	for ctx.Err() == nil {
		err := a.Inotify.Watch(ctx, req, hints{g})
		if ctx.Err() != nil {
			return
		}
		a.Logger.Debug("inotify beside polling ended", "err", err)
		select {
		case <-time.After(retry.Next()):
		case <-ctx.Done():
		}
	}
}

// hints is the Reporter of a watcher that nothing depends on.
type hints struct{ g *gate }

func (h hints) Ready() {}

func (h hints) Change(c sdk.Change) {
	if c.Path == "" && c.Scope == sdk.ScopeSubtree {
		return // it has lost its way, which says nothing about the tree
	}
	h.g.Reporter.Change(c)
}

func (h hints) Unwatched([]string, string) {}
