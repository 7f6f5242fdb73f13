package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/mounts"
	"github.com/filewatch/filewatch/core/internal/plan"
	"github.com/filewatch/filewatch/core/internal/state"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/core/internal/transfer"
	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/core/internal/watch"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// syncBlock is one sync block at work: one watched root and its destinations.
type syncBlock struct {
	plan         plan.Sync
	files        []plan.PluginFile // of its plugins
	record       *state.Record
	guard        *guard.Guard
	mounts       mountTracker
	root         *watch.Root
	logger       hclog.Logger
	destinations []*transfer.Destination
	budgets      budgets
	term         *term
}

// budgets are those of some destinations.
type budgets map[sdk.Endpoint]*guard.Budget

// newSyncBlock returns a block that does nothing yet. Former are the budgets of blocks that it takes the place
// of, perhaps.
func newSyncBlock(s plan.Sync, files []plan.PluginFile, plugins Plugins, record *state.Record, former budgets, slots *transfer.Slots, w world, logger hclog.Logger) *syncBlock {
	logger = logger.With("sync", s.Name)
	b := &syncBlock{plan: s, files: files, record: record, logger: logger, budgets: budgets{}, term: newTerm()}
	exclude, err := filter.Parse(s.Exclude)
	if err != nil {
		exclude = nil // the plan has none of these
	}
	watcher, choice := watcherOf(s.Watcher.Plugin, plugins, logger)
	b.root = watch.New(watch.Config{
		Watcher:  watcher,
		Choice:   choice,
		Fallback: plugins.Watcher("poll"),
		Request:  sdk.WatchRequest{Sync: s.Name, Root: s.Source, Exclude: s.Exclude, Config: s.Watcher.Config},
		Rescan:   s.Rescan,
		Change:   b.changed,
		Periodic: b.rescan,
		Rand:     w.queue.Rand,
		Logger:   logger,
	})
	limit := guard.Limit(s.MaxDelete)
	b.guard = guard.Open(guard.Config{
		Sync:     s.Name,
		Root:     s.Source,
		Delete:   s.Delete,
		MayEmpty: limit.Percent >= 100,
		Ignored:  exclude.Match,
		Known:    record.Get().Source,
		Remember: func(source guard.Source) {
			record.Update(func(s *state.Sync) { s.Source = source })
		},
		Look: w.look,
	})
	b.mounts = w.mounts(s.Source, exclude, memoryOf(s.Source, record))
	dirty := w.queue
	dirty.Settle, dirty.MaxDelay = s.Settle, s.MaxDelay
	for _, destination := range s.Destinations {
		budget := guard.NewBudget(limit)
		if before := former[destination]; before != nil {
			// What is deleted in one go must not count anew because somebody edits a file meanwhile.
			budget = before.With(limit)
		}
		b.budgets[destination] = budget
		b.destinations = append(b.destinations, transfer.New(transfer.Config{
			Sync:        s.Name,
			Source:      s.Source,
			Destination: destination,
			Exclude:     s.Exclude,
			Delete:      s.Delete,
			LargeFile:   s.LargeFile,
			Transport:   plugins.Transport(s.Transport.Plugin),
			ConfigJSON:  s.Transport.Config,
			Queue:       dirty,
			Guard:       b.guard,
			Budget:      budget,
			Mounts:      b.mounts,
			Watch:       b.root,
			Slots:       slots,
			Record:      record,
			Lstat:       w.lstat,
			Logger:      logger.With("destination", destination.String()),
		}))
	}
	return b
}

// memoryOf returns the memory of the mounts below a source.
func memoryOf(source string, record *state.Record) mounts.Memory {
	m := mounts.Memory{Remember: func(boot string, known []mounts.Known, held []string) {
		record.Update(func(s *state.Sync) {
			s.Mounts = state.Mounts{Boot: boot, Held: held}
			for _, k := range known {
				s.Mounts.List = append(s.Mounts.List, state.Mount{
					Path: guard.Path(k.Path), ID: k.ID, Key: guard.Path(k.Key), What: guard.Path(k.What), Lasting: k.Lasting, Waiting: k.Waiting,
				})
			}
		})
	}}
	before := record.Get()
	if before.Source.Path != guard.Path(source) {
		return m
	}
	m.Boot, m.Held = before.Mounts.Boot, before.Mounts.Held
	for _, k := range before.Mounts.List {
		m.Known = append(m.Known, mounts.Known{
			Path: string(k.Path), ID: k.ID, Key: string(k.Key), What: string(k.What), Lasting: k.Lasting, Waiting: k.Waiting,
		})
	}
	return m
}

// watcherOf returns the watcher that a block names, or the choice among the built-in ones, and what tells
// its name and why it was chosen.
func watcherOf(name string, plugins Plugins, logger hclog.Logger) (_ sdk.Watcher, choice func() (name, why string)) {
	if name != config.AutoWatcher {
		return plugins.Watcher(name), func() (string, string) { return name, "" }
	}
	auto := &watch.Auto{
		Inotify:  plugins.Watcher("inotify"),
		Fanotify: plugins.Watcher("fanotify"),
		Poll:     plugins.Watcher("poll"),
		Logger:   logger,
	}
	return auto, auto.Choice
}

// run watches until ctx ends and transfers until then, or with a transfer under way until abort ends. It does
// so too when its term ends, and then transfers go on for no longer than the patience.
func (b *syncBlock) run(ctx, abort context.Context, patience time.Duration) {
	ctx, abort, ended := b.term.run(ctx, abort, patience)
	defer ended()
	var wg sync.WaitGroup
	watch, mounts := turn.As(ctx, "watch"), turn.As(ctx, "mounts")
	wg.Go(func() { b.root.Run(watch) })
	wg.Go(func() { b.mounts.Run(mounts, b.mounted) })
	for _, d := range b.destinations {
		ctx, abort := turn.As(ctx, d.String()), turn.As(abort, d.String())
		wg.Go(func() { d.Run(ctx, abort) })
	}
	wg.Wait()
	b.record.Flush()
}

// changed marks a path dirty at every destination.
func (b *syncBlock) changed(c sdk.Change) {
	for _, d := range b.destinations {
		d.Add(c)
	}
}

// mounted is told of subtrees that mounts have made unknown, and of those that are known again.
func (b *syncBlock) mounted(held, free []string) {
	for _, h := range b.mounts.Held() {
		if slices.Contains(held, h.Path) {
			b.logger.Error("a subtree is held", "err", h.Reason)
		}
	}
	if len(held) > 0 {
		for _, d := range b.destinations {
			d.Interrupt()
		}
	}
	for _, path := range free {
		b.logger.Info("a subtree is no longer held", "path", sdk.Change{Path: path}.String())
		again := sdk.Change{Path: path, Scope: sdk.ScopeSubtree}
		b.changed(again)
		if b.root.Looks() {
			// A watcher that looks now and then has not seen yet what is there: what the comparison finds the same,
			// and goes before the next look, nobody would tell of.
			b.root.Prove(func() { b.changed(again) })
		}
	}
}

// rescan has everything compared that nobody doubts.
func (b *syncBlock) rescan() {
	for _, d := range b.destinations {
		d.Rescan()
	}
}

// pause stops the transfers, also of later runs of the daemon, or ends that.
func (b *syncBlock) pause(paused bool) {
	for _, d := range b.destinations {
		if paused {
			d.Pause()
		} else {
			d.Resume()
		}
	}
	b.record.Update(func(s *state.Sync) { s.Paused = paused })
}

// resync compares everything now.
func (b *syncBlock) resync() {
	for _, d := range b.destinations {
		d.Resync()
	}
}

// approve lets through what is held, and returns that in words.
func (b *syncBlock) approve() (approved []string, err error) {
	if b.guard.Check() != nil {
		return b.approveSource()
	}
	for _, h := range b.mounts.Held() {
		if b.mounts.Approve(h.Path) {
			approved = append(approved, h.Reason)
			b.changed(sdk.Change{Path: h.Path, Scope: sdk.ScopeSubtree})
		}
	}
	for _, d := range b.destinations {
		if hold := d.ApproveDeletions(false); hold != nil {
			approved = append(approved, hold.Seen)
		}
	}
	if len(approved) == 0 {
		return nil, fmt.Errorf("nothing of sync %q is held", b.plan.Name)
	}
	return approved, nil
}

// approveSource takes the source, which is held, as it is.
func (b *syncBlock) approveSource() (approved []string, err error) {
	hold, err := b.guard.Approve()
	if err != nil {
		return nil, err
	}
	if b.record.Get().Source.MayBeEmpty {
		// Otherwise the deletions that this means would be held in their turn.
		for _, d := range b.destinations {
			d.ApproveNext()
		}
	}
	b.resync()
	return []string{hold.Seen}, nil
}

// approveTold is approve of what the run before has told, and of nothing that has been added since: nobody has
// seen that.
func (b *syncBlock) approveTold() (approved []string, err error) {
	// Without a look before it, this is of what the run before has seen.
	if approved, err = b.approveSource(); !errors.Is(err, guard.ErrNotHeld) {
		return approved, err
	}
	if err := b.guard.Check(); err != nil {
		return nil, fmt.Errorf("nothing is approved, for the run before did not tell this: %w", err)
	}
	for _, h := range b.mounts.Held() {
		if b.mounts.ApproveTold(h) {
			approved = append(approved, h.Reason)
		}
	}
	for _, d := range b.destinations {
		if hold := d.ApproveDeletions(true); hold != nil {
			approved = append(approved, hold.Seen)
		}
	}
	if len(approved) == 0 {
		return nil, fmt.Errorf("nothing is approved, for the run before held nothing of sync %q", b.plan.Name)
	}
	return approved, nil
}

// refresh asks for proof where everything seems to be in step.
func (b *syncBlock) refresh(ctx context.Context) {
	var wg sync.WaitGroup
	for _, d := range b.destinations {
		ctx := turn.As(ctx, d.String())
		wg.Go(func() { d.Refresh(ctx) })
	}
	wg.Wait()
}

// report returns the state of all.
func (b *syncBlock) report() status.Sync {
	out := status.Sync{Name: b.plan.Name, Source: b.plan.Source, Paused: b.record.Get().Paused, Watch: b.root.Status()}
	for _, d := range b.destinations {
		out.Watch.Missed += d.Missed()
		out.Destinations = append(out.Destinations, d.Report())
	}
	return out
}
