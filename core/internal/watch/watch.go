// Package watch keeps one root watched: it turns the streams of a watcher into changes, and every
// doubt about what the watcher saw into a rescan. What the watcher does not see is polled meanwhile.
package watch

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/backoff"
	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
)

const (
	// unwatchedRescan is how often subtrees are compared that are neither watched nor polled.
	unwatchedRescan = time.Minute
	// A stream that ended is opened again at once, for what happens meanwhile is only found by the
	// comparison after it.
	retryMin = 100 * time.Millisecond
	retryMax = 30 * time.Second
	// healthy is how long a watcher must have worked for its end to count as the first one.
	healthy = 10 * time.Second
	// lostPoll is how often a source that is missing is looked for.
	lostPoll = time.Second
	// grace is how long a watcher may be away before all is polled: a plugin that died is back in less.
	grace = time.Second
)

// Config says what to watch and who is told.
type Config struct {
	Watcher sdk.Watcher
	// Choice returns the name of the watcher at work, and why it was chosen; "" when nobody chose.
	Choice  func() (name, why string)
	Request sdk.WatchRequest
	// Fallback is the watcher that polls what Watcher does not see; nil = nobody does. It is not used
	// while Choice says that Watcher is the same.
	Fallback sdk.Watcher
	Rescan   time.Duration // how often everything is compared; 0 = never
	// Change is told every path that may differ. It must not block.
	Change func(sdk.Change)
	// Periodic is told, instead of Change, that everything is to be compared because of Rescan: nobody
	// doubts anything. It must not block. nil = it is a Change of everything.
	Periodic func()
	// Rand is in [0, 1), for what is spread in time; nil = math/rand/v2.
	Rand   func() float64
	Logger hclog.Logger
}

// Root is one watched root. Its methods may be called concurrently.
type Root struct {
	config Config
	follow chan struct{} // capacity 1: what has to be polled may have changed

	mu        sync.Mutex // guards all below
	ready     bool       // the watcher watches
	unwatched []string   // subtrees that it does not see; all when it is not ready
	reason    string     // why
	lost      bool       // the root is not there
	graceEnd  time.Time  // when a watcher that is not ready counts as away
	barriers  chan sdk.Barrier
	polled    *poller // the fallback stream that counts; nil when there is none
	proofs    proofs
}

// New returns a root that is not watched yet.
func New(c Config) *Root {
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	return &Root{
		config:    c,
		follow:    make(chan struct{}, 1),
		unwatched: []string{""},
		reason:    "the watcher is starting",
	}
}

// Run watches until ctx ends. A watcher that fails is started again; until it works the root is polled.
func (r *Root) Run(ctx context.Context) {
	turn.Wait(ctx)
	r.mu.Lock()
	r.graceEnd = time.Now().Add(unwatchedRescan)
	r.mu.Unlock()
	var wg sync.WaitGroup
	rescan, fallback := turn.As(ctx, "rescan"), turn.As(ctx, "fallback")
	wg.Go(func() { r.rescan(rescan) })
	wg.Go(func() { r.fallBack(fallback) })
	defer wg.Wait()
	defer r.giveUp()

	retry := backoff.Backoff{Min: retryMin, Max: retryMax, Rand: r.config.Rand}
	said := ""
	for ctx.Err() == nil {
		s := &stream{root: r, barriers: make(chan sdk.Barrier, maxBarriers)}
		req := r.config.Request
		req.Barriers = s.barriers
		err := r.config.Watcher.Watch(ctx, req, s)
		turn.Wait(ctx)
		if ctx.Err() != nil {
			return
		}
		if !s.ready.IsZero() && time.Since(s.ready) > healthy {
			retry.Reset()
			said = ""
		}
		wait := retry.Next()
		if sdk.IsRootLost(err) {
			wait = lostPoll
		}
		r.away(err)
		if err.Error() != said {
			said = err.Error()
			r.config.Logger.Warn("not watched: "+r.instead(err)+" until it is", "err", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		turn.Wait(ctx)
	}
}

// instead says what happens while the watcher is away because of err.
func (r *Root) instead(err error) string {
	if r.fallback() == nil || sdk.IsRootLost(err) {
		return "compared every " + unwatchedRescan.String()
	}
	return "polled"
}

// away notes that the watcher has ended.
func (r *Root) away(err error) {
	r.set(func() {
		end := time.Now().Add(grace)
		if r.ready || end.Before(r.graceEnd) {
			r.graceEnd = end
		}
		r.ready, r.unwatched, r.reason = false, []string{""}, err.Error()
		r.lost = sdk.IsRootLost(err)
		r.barriers = nil
	})
}

// set changes what is watched, and has everybody act on it.
func (r *Root) set(change func()) {
	r.mu.Lock()
	change()
	r.askAnew()
	r.mu.Unlock()
	select {
	case r.follow <- struct{}{}:
	default:
	}
}

// compare has subtrees compared about which there is doubt.
func (r *Root) compare(paths []string) {
	for _, p := range paths {
		r.config.Change(sdk.Change{Path: p, Scope: sdk.ScopeSubtree})
	}
}

// Complete reports whether every change below the root is being reported, by the watcher or by polling,
// and why not.
func (r *Root) Complete() (bool, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	paths, reason := r.unseen()
	return len(paths) == 0, reason
}

// unseen returns the subtrees that are neither watched nor polled, and why.
func (r *Root) unseen() (paths []string, reason string) {
	if r.polled == nil {
		return r.unwatched, r.reason
	}
	for _, p := range r.unwatched {
		if !covers(r.polled.only, p) || covers(r.polled.unwatched, p) {
			paths = append(paths, p)
			continue
		}
		for _, u := range r.polled.unwatched {
			if covers([]string{p}, u) {
				paths = append(paths, u)
			}
		}
	}
	if len(paths) == 0 {
		return nil, ""
	}
	if len(r.polled.unwatched) > 0 {
		return paths, r.polled.reason
	}
	return paths, r.reason
}

// covers reports whether p is one of the paths or lies below one.
func covers(paths []string, p string) bool {
	return slices.ContainsFunc(paths, func(above string) bool {
		return sdk.Change{Path: above, Scope: sdk.ScopeSubtree}.Covers(p)
	})
}

// without returns the paths that nothing in others covers.
func without(paths, others []string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return covers(others, p) })
}

// stream is the Reporter of one run of the watcher.
type stream struct {
	root     *Root
	barriers chan sdk.Barrier
	ready    time.Time // read after the run
}

func (s *stream) Ready() {
	s.ready = time.Now()
	s.root.config.Logger.Info("watching", "root", s.root.config.Request.Root)
	// Whatever happened before now was seen by nobody. That is known before all counts as watched.
	s.root.config.Change(sdk.Change{Scope: sdk.ScopeSubtree})
	s.root.set(func() {
		r := s.root
		r.ready, r.lost, r.unwatched, r.reason, r.barriers = true, false, nil, "", s.barriers
	})
}

func (s *stream) Change(c sdk.Change) {
	if log := s.root.config.Logger; log.IsDebug() {
		log.Debug("change", "op", c.Ops.String(), "path", c.String())
	}
	s.root.config.Change(c)
}

func (s *stream) Unwatched(paths []string, reason string) {
	r := s.root
	var before []string
	r.set(func() {
		before = r.unwatched
		r.unwatched, r.reason = bounded(paths), reason
	})
	// What is no longer in the list is watched from now on: what happened there before the watcher has not
	// seen. What is new in it is compared when it is polled.
	r.compare(without(before, paths))
	log := r.config.Logger
	switch {
	case len(paths) == 0:
		if len(before) > 0 {
			log.Info("everything is watched again")
		}
	case r.fallback() != nil:
		log.Warn("partly not watched: those subtrees are polled", "subtrees", len(paths), "first", first(paths), "err", reason)
	default:
		log.Warn("partly not watched: those subtrees are compared every "+unwatchedRescan.String(),
			"subtrees", len(paths), "first", first(paths), "err", reason)
		r.compare(without(paths, before))
	}
}

// first returns the first of several subtrees as operators read it.
func first(paths []string) string {
	return sdk.Change{Path: paths[0], Scope: sdk.ScopeSubtree}.String()
}

// maxOnly bounds the bytes of the paths that are asked for: a message holds 4 MiB.
const maxOnly = 1 << 20

// bounded returns paths, or the whole root when they are too long.
func bounded(paths []string) []string {
	size := 0
	for _, p := range paths {
		size += len(p)
	}
	if size > maxOnly {
		return []string{""}
	}
	return paths
}
