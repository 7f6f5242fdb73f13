package core

import (
	"context"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/plan"
	"github.com/filewatch/filewatch/core/internal/queue"
	"github.com/filewatch/filewatch/core/internal/transfer"
	"github.com/filewatch/filewatch/core/internal/watch"
	"github.com/filewatch/filewatch/sdk"
)

// syncBlock is one sync block at work: one watched root and its destinations.
type syncBlock struct {
	plan         plan.Sync
	root         *watch.Root
	destinations []*transfer.Destination
}

func newSyncBlock(s plan.Sync, plugins Plugins, logger hclog.Logger) *syncBlock {
	logger = logger.With("sync", s.Name)
	b := &syncBlock{plan: s}
	b.root = watch.New(watch.Config{
		Watcher: watcherOf(s.Watcher.Plugin, plugins, logger),
		Request: sdk.WatchRequest{Sync: s.Name, Root: s.Source, Exclude: s.Exclude, Config: s.Watcher.Config},
		Rescan:  s.Rescan,
		Change:  b.changed,
		Logger:  logger,
	})
	g := guard.New(s.Source, s.Delete)
	for _, destination := range s.Destinations {
		b.destinations = append(b.destinations, transfer.New(transfer.Config{
			Sync:        s.Name,
			Source:      s.Source,
			Destination: destination,
			Exclude:     s.Exclude,
			Delete:      s.Delete,
			Transport:   plugins.Transport(s.Transport.Plugin),
			ConfigJSON:  s.Transport.Config,
			Queue:       queue.Config{Settle: s.Settle, MaxDelay: s.MaxDelay},
			Guard:       g,
			Watched:     b.root.Complete,
			Prove:       b.root.Prove,
			Logger:      logger.With("destination", destination.String()),
		}))
	}
	return b
}

// watcherOf returns the watcher that a block names, or the choice among the built-in ones.
func watcherOf(name string, plugins Plugins, logger hclog.Logger) sdk.Watcher {
	if name != config.AutoWatcher {
		return plugins.Watcher(name)
	}
	return &watch.Auto{Local: plugins.Watcher("inotify"), Remote: plugins.Watcher("poll"), Logger: logger}
}

// run watches until ctx ends and transfers until then, or with a transfer under way until abort ends.
func (b *syncBlock) run(ctx, abort context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { b.root.Run(ctx) })
	for _, d := range b.destinations {
		wg.Go(func() { d.Run(ctx, abort) })
	}
	wg.Wait()
}

// changed marks a path dirty at every destination.
func (b *syncBlock) changed(c sdk.Change) {
	for _, d := range b.destinations {
		d.Add(c)
	}
}
