// Package inotify watches directory trees for changes.
//
// On Linux it reads inotify itself. Every directory has one watch, and a directory is known by its
// watch descriptor, which stays the same whatever the directory is called and wherever it is moved. An
// event is only ever a reason to look: what is at a path is what the kernel says when the path is
// opened, and the descriptor of the opened directory tells which one it is. So events that are
// outdated when they are read, as most are on a busy tree, do no harm. Elsewhere fsnotify does the
// work, as well as it can.
//
// What a change cannot be attributed to becomes a comparison: the loss of events in a full kernel
// queue one of the whole tree, a directory that appears or is moved one of that directory, reported
// once everything below it is watched.
//
// A file with several hard links is reported under the name it was changed by at once, and under its others
// when a search has found them. Where the name is gone before anyone could look which file it was, all
// files are reported that have changed since then. Searches never take more than a tenth of one core.
//
// Limits that the kernel sets: changes made on another host of a network file system, by a write
// through mmap before the file is closed, and in the layers below an overlay are not seen. The other names
// of a file are not known to have changed when it was changed by a name in a directory that is not watched,
// such as one outside the tree or an excluded one, or by way of an open file whose name is gone. The periodic
// rescan finds what is not seen.
package inotify

import (
	"context"
	"fmt"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// Plugin returns the plugin, to be served.
func Plugin() sdk.Plugin {
	return sdk.Plugin{Name: "inotify", Version: "1.0.0", Watcher: watcher{defaultBackend}, MaxProcs: 1}
}

// backend watches a root; it is sdk.Watcher.Watch with the patterns parsed.
type backend func(ctx context.Context, root string, exclude *filter.Filter, asked <-chan sdk.Barrier, r sdk.Reporter) error

type watcher struct{ watch backend }

var _ sdk.Watcher = watcher{}

// Watch implements sdk.Watcher.
func (w watcher) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	exclude, err := filter.Parse(req.Exclude)
	if err != nil {
		return sdk.Misconfigured(fmt.Errorf("exclude: %w", err))
	}
	return w.watch(ctx, req.Root, exclude, req.Barriers, r)
}
