//go:build !linux

package fanotify

import (
	"context"
	"errors"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

func watchFanotify(context.Context, string, *filter.Filter, <-chan sdk.Barrier, sdk.Reporter) error {
	return sdk.Misconfigured(errors.New("fanotify is a Linux interface; use `watcher \"inotify\" {}`, which works here in its portable way"))
}
