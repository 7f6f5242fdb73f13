package fanotify

import (
	"context"
	"fmt"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// Plugin returns the plugin, to be served.
func Plugin() sdk.Plugin {
	return sdk.Plugin{Name: "fanotify", Version: "1.0.0", Watcher: watcher{}, MaxProcs: 1}
}

type watcher struct{}

var _ sdk.Watcher = watcher{}

// Watch implements sdk.Watcher. It returns sdk.Misconfigured where the privilege is missing or the
// kernel refuses to watch the root's file system in this way.
func (watcher) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	exclude, err := filter.Parse(req.Exclude)
	if err != nil {
		return sdk.Misconfigured(fmt.Errorf("exclude: %w", err))
	}
	return watchFanotify(ctx, req.Root, exclude, req.Barriers, r)
}
