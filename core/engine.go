// Package core runs a plan: it keeps the destinations of every sync block in step with its source.
//
// Each block is independent. Its root is watched by one stream (package watch); each of its
// destinations has its own dirty set (package queue) and its own goroutine that transfers (package
// transfer). All doubt takes one way: a change whose scope is the subtree in doubt. The first full
// sync, a rescan, a restarted watcher and an overflow are the same thing.
package core

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/plan"
	"github.com/filewatch/filewatch/core/internal/state"
	"github.com/filewatch/filewatch/core/internal/transfer"
	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
)

// Plugins gives out the plugins that a plan names. What it returns may be used at once: a call waits
// until the plugin runs.
type Plugins interface {
	Watcher(name string) sdk.Watcher
	Transport(name string) sdk.Transport
}

// Config is what an Engine needs.
type Config struct {
	Plan    *plan.Plan
	Plugins Plugins
	// State keeps what must survive a restart.
	State  state.Store
	Logger hclog.Logger
	// Version is what Status tells.
	Version string
	// ShutdownTimeout is how long transfers that are under way may take to end once Run's context has
	// ended.
	ShutdownTimeout time.Duration

	// world is nil for the real one.
	world *world
}

// Engine runs the sync blocks of a plan, which may be replaced while it runs.
type Engine struct {
	config  Config
	world   world
	keeper  *state.Keeper
	slots   *transfer.Slots
	started time.Time
	begun   chan struct{} // closed when Run has begun

	reloading sync.Mutex // held by Reload

	mu         sync.Mutex      // guards all below
	ctx, abort context.Context // of Run; nil before
	syncs      []*syncBlock    // in the order of the configuration
	running    sync.WaitGroup
	ended      bool // ctx has; nothing is started any more
}

// New returns an engine that does nothing yet.
func New(c Config) *Engine {
	e := &Engine{config: c, world: realWorld(), started: time.Now(), begun: make(chan struct{}), slots: transfer.NewSlots(c.Plan.MaxTransfers)}
	if c.world != nil {
		e.world = *c.world
	}
	e.keeper = state.NewKeeper(c.State, c.Logger)
	for _, s := range c.Plan.Syncs {
		e.syncs = append(e.syncs, e.block(c.Plan, s, c.Plugins, nil))
	}
	return e
}

// block returns a block of a plan that does nothing yet.
func (e *Engine) block(p *plan.Plan, s plan.Sync, plugins Plugins, former budgets) *syncBlock {
	return newSyncBlock(s, p.Files(s), plugins, e.keeper.Open(s.Name), former, e.slots, e.world, e.config.Logger)
}

// start has a block run. e.mu is held.
func (e *Engine) start(b *syncBlock) {
	ctx, abort := turn.As(e.ctx, b.plan.Name), turn.As(e.abort, b.plan.Name)
	e.running.Go(func() {
		turn.Wait(ctx)
		b.run(ctx, abort, e.config.ShutdownTimeout)
	})
}

// blocks returns the blocks of the plan that is carried out at present, in its order.
func (e *Engine) blocks() []*syncBlock {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.syncs
}

// Run keeps everything in step until ctx ends, then lets running transfers end. What is unconfirmed by
// then is found by the full sync of the next start. No failure ends it.
func (e *Engine) Run(ctx context.Context) {
	abort, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(e.config.ShutdownTimeout, cancel) })
	defer stop()
	e.mu.Lock()
	e.ctx, e.abort = ctx, abort
	for _, b := range e.syncs {
		e.start(b)
	}
	e.mu.Unlock()
	close(e.begun)
	<-ctx.Done()
	e.mu.Lock()
	e.ended = true
	e.mu.Unlock()
	e.running.Wait()
}

// Once brings every destination in step once, all at the same time, and returns one error for each that
// failed.
func (e *Engine) Once(ctx context.Context) []error {
	var (
		mu   sync.Mutex
		errs []error
		wg   sync.WaitGroup
	)
	for _, s := range e.blocks() {
		for _, d := range s.destinations {
			wg.Go(func() {
				if err := d.Once(ctx); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, fmt.Errorf("sync %q: %s: %w", s.plan.Name, d, err))
				}
			})
		}
	}
	wg.Wait()
	return errs
}
