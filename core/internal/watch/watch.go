// Package watch keeps one root watched: it turns the streams of a watcher into changes, and every
// doubt about what the watcher saw into a rescan.
package watch

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/backoff"
	"github.com/filewatch/filewatch/sdk"
)

const (
	// unwatchedRescan is how often subtrees are compared that no watcher sees.
	unwatchedRescan = time.Minute
	// rescanJitter spreads the periodic comparisons by this share to either side, so that many roots
	// on one disk are not read at once.
	rescanJitter = 0.25
	// A stream that ended is opened again at once, for what happens meanwhile is only found by the
	// comparison after it.
	retryMin = 100 * time.Millisecond
	retryMax = 30 * time.Second
	// healthy is how long a watcher must have worked for its end to count as the first one.
	healthy = 10 * time.Second
	// lostPoll is how often a source that is missing is looked for.
	lostPoll = time.Second
)

// Root is one watched root.
type Root struct {
	config   Config
	barriers chan sdk.Barrier

	mu        sync.Mutex // guards all below
	unwatched []string   // subtrees that nobody watches now
	reason    string     // why
}

// Config says what to watch and who is told.
type Config struct {
	Watcher sdk.Watcher
	Request sdk.WatchRequest
	Rescan  time.Duration // how often everything is compared; 0 = never
	// Change is told every path that may differ. It must not block.
	Change func(sdk.Change)
	Logger hclog.Logger
}

// maxBarriers bounds the proofs that are asked for while no watcher takes the question.
const maxBarriers = 256

// New returns a root that is not watched yet.
func New(c Config) *Root {
	r := &Root{config: c, barriers: make(chan sdk.Barrier, maxBarriers), unwatched: []string{""}, reason: "the watcher is starting"}
	r.config.Request.Barriers = r.barriers
	return r
}

// Run watches until ctx ends. A watcher that fails is started again; until it works the whole root is
// unwatched.
func (r *Root) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { r.rescan(ctx) })
	defer wg.Wait()

	retry := backoff.Backoff{Min: retryMin, Max: retryMax}
	said := ""
	for ctx.Err() == nil {
		stream := &stream{root: r}
		err := r.config.Watcher.Watch(ctx, r.config.Request, stream)
		if ctx.Err() != nil {
			return
		}
		if !stream.ready.IsZero() && time.Since(stream.ready) > healthy {
			retry.Reset()
			said = ""
		}
		wait := retry.Next()
		if sdk.IsRootLost(err) {
			wait = lostPoll
		}
		r.setUnwatched([]string{""}, err.Error())
		if err.Error() != said {
			said = err.Error()
			r.config.Logger.Warn("not watched: compared every "+unwatchedRescan.String()+" until it is", "err", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// Complete reports whether every change below the root is being reported, and why not.
func (r *Root) Complete() (bool, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.unwatched) == 0, r.reason
}

// Prove calls reached, which must not block, once every change that was made before the call has been
// given to Config.Change, as far as the root is watched. It does not block. It never calls reached if
// the watcher ends before, or cannot prove it; after a restart everything is compared anyway.
func (r *Root) Prove(reached func()) {
	select {
	case r.barriers <- sdk.NewBarrier(reached):
	default: // nobody has taken the last ones
	}
}

// setUnwatched returns the list as it was.
func (r *Root) setUnwatched(paths []string, reason string) (before []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before = r.unwatched
	r.unwatched, r.reason = paths, reason
	return before
}

// rescan reports what has to be compared because of the time, until ctx ends.
func (r *Root) rescan(ctx context.Context) {
	unwatched := time.NewTicker(unwatchedRescan)
	defer unwatched.Stop()
	var all <-chan time.Time
	if r.config.Rescan > 0 {
		all = time.After(jittered(r.config.Rescan))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-unwatched.C:
			r.mu.Lock()
			paths := r.unwatched
			r.mu.Unlock()
			for _, path := range paths {
				r.config.Change(sdk.Change{Path: path, Scope: sdk.ScopeSubtree})
			}
		case <-all:
			r.config.Change(sdk.Change{Scope: sdk.ScopeSubtree})
			all = time.After(jittered(r.config.Rescan))
		}
	}
}

func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - rescanJitter + 2*rescanJitter*rand.Float64()))
}

// stream is the Reporter of one run of the watcher.
type stream struct {
	root  *Root
	ready time.Time // read after the run
}

func (s *stream) Ready() {
	s.ready = time.Now()
	s.root.config.Logger.Info("watching", "root", s.root.config.Request.Root)
	// Whatever happened before now was seen by nobody. That is known before all counts as watched.
	s.root.config.Change(sdk.Change{Scope: sdk.ScopeSubtree})
	s.root.setUnwatched(nil, "")
}

func (s *stream) Change(c sdk.Change) {
	if log := s.root.config.Logger; log.IsDebug() {
		log.Debug("change", "op", c.Ops.String(), "path", c.String())
	}
	s.root.config.Change(c)
}

func (s *stream) Unwatched(paths []string, reason string) {
	// What is no longer in the list is watched from now on: what happened there before is seen by nobody.
	for _, path := range s.root.setUnwatched(paths, reason) {
		s.root.config.Change(sdk.Change{Path: path, Scope: sdk.ScopeSubtree})
	}
	if len(paths) == 0 {
		s.root.config.Logger.Info("everything is watched again")
		return
	}
	s.root.config.Logger.Warn("partly not watched: those subtrees are compared every "+unwatchedRescan.String(),
		"subtrees", len(paths), "first", paths[0], "err", reason)
	for _, path := range paths {
		s.root.config.Change(sdk.Change{Path: path, Scope: sdk.ScopeSubtree})
	}
}
