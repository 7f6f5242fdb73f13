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

// Engine runs the sync blocks of one plan.
type Engine struct {
	config  Config
	started time.Time
	syncs   []*syncBlock
}

// New returns an engine that does nothing yet.
func New(c Config) *Engine {
	e := &Engine{config: c, started: time.Now()}
	w := realWorld()
	if c.world != nil {
		w = *c.world
	}
	keeper := state.NewKeeper(c.State, c.Logger)
	for _, s := range c.Plan.Syncs {
		e.syncs = append(e.syncs, newSyncBlock(s, c.Plugins, keeper.Open(s.Name), w, c.Logger))
	}
	return e
}

// Run keeps everything in step until ctx ends, then lets running transfers end. What is unconfirmed by
// then is found by the full sync of the next start. No failure ends it.
func (e *Engine) Run(ctx context.Context) {
	abort, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(e.config.ShutdownTimeout, cancel) })
	defer stop()
	var wg sync.WaitGroup
	for _, s := range e.syncs {
		wg.Go(func() { s.run(ctx, abort) })
	}
	wg.Wait()
}

// Once brings every destination in step once, all at the same time, and returns one error for each that
// failed.
func (e *Engine) Once(ctx context.Context) []error {
	var (
		mu   sync.Mutex
		errs []error
		wg   sync.WaitGroup
	)
	for _, s := range e.syncs {
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
