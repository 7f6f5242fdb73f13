package core

import (
	"context"
	"os"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/mounts"
	"github.com/filewatch/filewatch/core/internal/queue"
	"github.com/filewatch/filewatch/sdk/filter"
)

// world is what an Engine sees of the machine beside its plugins and its state. Tests put another one in
// its place.
type world struct {
	look   guard.Looker                                                                 // at a source; nil = at the real one
	lstat  func(path string) (os.FileInfo, error)                                       // of an entry of a source; nil = os.Lstat
	mounts func(root string, exclude *filter.Filter, memory mounts.Memory) mountTracker // below a source
	ctx    context.Context                                                              // of what is asked without one; nil = context.Background()
	queue  queue.Config                                                                 // bounds of dirty sets, and what jitter comes from
}

func (w *world) base() context.Context {
	if w.ctx == nil {
		return context.Background()
	}
	return w.ctx
}

// mountTracker is a *mounts.Tracker.
type mountTracker interface {
	Run(ctx context.Context, changed func(held, free []string))
	Held() []mounts.Hold
	Approve(path string) bool
	ApproveTold(mounts.Hold) bool
}

func realWorld() world {
	return world{mounts: func(root string, exclude *filter.Filter, memory mounts.Memory) mountTracker {
		return mounts.New(root, exclude, memory)
	}}
}
