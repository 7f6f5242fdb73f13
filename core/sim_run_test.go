package core

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/mounts"
	"github.com/filewatch/filewatch/core/internal/plan"
	"github.com/filewatch/filewatch/core/internal/queue"
	"github.com/filewatch/filewatch/core/internal/state"
	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// simBug is a deliberate fault of the engine or its plugins that the simulation has to catch. The zero
// value is none.
type simBug struct {
	name      string
	watcher   func(*simWorld, sdk.Watcher) sdk.Watcher
	transport func(*simWorld, sdk.Transport) sdk.Transport
	look      func(*simWorld, guard.Looker) guard.Looker
	store     func(*simWorld, state.Store) state.Store
}

// simulation runs one seed.
type simulation struct {
	*simWorld
	rng     *rand.Rand
	turn    func()  // waits until it is the schedule's
	engine  *Engine // nil = no daemon runs
	stop    context.CancelFunc
	ended   chan struct{}
	asking  sync.WaitGroup // operators who wait for an answer
	flushes int            // ever
	removed bool           // the block is in the configuration no more
}

// simulate runs one seed and returns what was promised and not kept, and the trace.
// Of the directory root only the file system is looked at.
func simulate(t *testing.T, root string, seed uint64, bug simBug, traced bool) (violation, trace string) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(seed, bug, root)
		s.traced = traced
		s.run()
		s.asking.Wait()
		violation, trace = s.violation, s.story()
	})
	return violation, trace
}

func newSimulation(seed uint64, bug simBug, root string) *simulation {
	w := &simWorld{
		seed: seed, bug: bug, source: newSimSource(), identity: 1,
		faults: true, unmounts: make(chan struct{}, 1), crashed: make(chan struct{}, 1), seq: map[string]int{}, slots: map[time.Duration]string{},
	}
	s := &simulation{simWorld: w, rng: w.rng("schedule", 0), turn: w.turns("schedule")}
	w.plan = plan.Sync{
		Name:      "s",
		Source:    root,
		Exclude:   []string{"*.tmp", []string{"/cache/", "cache/"}[w.seed%2]}, // directories may be renamed if only names count
		Delete:    s.rng.IntN(6) > 0,
		MaxDelete: config.MaxDelete{Percent: 100},
		Settle:    20 * time.Millisecond,
		MaxDelay:  time.Second,
		Watcher:   plan.Component{Plugin: []string{"inotify", "inotify", "inotify", "inotify", "poll", "poll", "auto"}[s.rng.IntN(7)]},
		Transport: plan.Component{Plugin: "rsync"},
	}
	if s.rng.IntN(2) == 0 {
		w.plan.MaxDelete = config.MaxDelete{Count: 1 + s.rng.Uint64N(12)}
	} else if s.rng.IntN(2) == 0 {
		w.plan.MaxDelete = config.MaxDelete{Percent: 50}
	}
	if s.rng.IntN(4) == 0 {
		w.plan.Rescan = 10 * time.Minute
	}
	if s.simWorld.rng("large", 0).IntN(3) > 0 {
		w.plan.LargeFile = 1
	}
	w.exclude, _ = filter.Parse(w.plan.Exclude)
	for i := range 1 + s.rng.IntN(2) {
		e := sdk.Endpoint{Scheme: sdk.SchemeSSH, Host: "far", Path: fmt.Sprintf("/to%d", i)}
		w.plan.Destinations = append(w.plan.Destinations, e)
		w.dests = append(w.dests, &simDest{endpoint: e, tree: simTree{}})
	}
	w.put("f", false)
	for range s.rng.IntN(20) {
		w.mutate(s.rng, true)
	}
	for _, d := range w.dests {
		d.tree["cache"] = simNode{dir: true, version: -1}
		d.tree["cache/a"] = simNode{version: -2}
		for i := range s.rng.IntN(4) {
			d.tree[fmt.Sprintf("old%d", i)] = simNode{version: -3}
		}
		for p, n := range w.source.tree { // all of it or nothing
			if d.calls == 0 && w.seed%3 == 0 && !w.exclude.Excluded(p, n.dir) {
				d.tree[p] = n
			}
		}
	}
	return s
}

// Watcher implements Plugins.
func (s *simulation) Watcher(name string) sdk.Watcher {
	var p sdk.Watcher = simWatcher{s.simWorld, name, s.daemon}
	if s.bug.watcher != nil {
		p = s.bug.watcher(s.simWorld, p)
	}
	return p
}

// Transport implements Plugins.
func (s *simulation) Transport(string) sdk.Transport {
	var p sdk.Transport = simTransport{s.simWorld, s.daemon}
	if s.bug.transport != nil {
		p = s.bug.transport(s.simWorld, p)
	}
	return p
}

// start starts a daemon.
func (s *simulation) start() {
	s.mu.Lock()
	if s.known.Source.Identity.Inode != s.identity && (s.root == rootEmpty || s.root == rootOther) {
		s.restore() // nobody remembers that it was another one
	}
	s.daemon++
	s.alive = true
	s.removed = false
	s.paused, s.approved = s.known.Paused, s.known.Source.MayBeEmpty
	for _, d := range s.dests {
		d.deleted, d.created, d.approved = nil, nil, false // a budget is not remembered
		known := s.known
		d.held = known.Destination(d.endpoint.String()).Hold != nil
	}
	s.note("schedule", "start daemon %d", s.daemon)
	s.mu.Unlock()
	var look guard.Looker = s.simWorld
	if s.bug.look != nil {
		look = s.bug.look(s.simWorld, look)
	}
	var store state.Store = simStore{s.simWorld, s.daemon}
	if s.bug.store != nil {
		store = s.bug.store(s.simWorld, store)
	}
	level := hclog.Info
	if s.traced {
		level = hclog.Debug
	}
	jitter := s.simWorld.rng("jitter", s.daemon)
	half := jitter.Float64()
	s.engine = New(Config{
		Plan:            &plan.Plan{Syncs: []plan.Sync{s.plan}},
		Plugins:         s,
		State:           store,
		Logger:          hclog.New(&hclog.LoggerOptions{Level: level, Output: simLog{s.simWorld, s.daemon}, DisableTime: true}),
		ShutdownTimeout: time.Duration(s.rng.IntN(20)) * time.Second,
		world: &world{
			look:   look,
			lstat:  s.lstat,
			mounts: func(string, *filter.Filter, mounts.Memory) mountTracker { return simMounts{s.simWorld} },
			ctx:    turn.Order(context.Background(), "ask", s.turns),
			queue: queue.Config{
				Limit:      []int{0, 8, 30}[s.rng.IntN(3)],
				BatchPaths: []int{0, 1, 3, 10}[s.rng.IntN(4)],
				RetryMax:   time.Minute,
				Rand:       func() float64 { return half },
			},
		},
	})
	ctx, cancel := context.WithCancel(turn.Order(context.Background(), "run", s.turns))
	s.stop, s.ended = cancel, make(chan struct{})
	go func(e *Engine, ended chan struct{}) {
		defer close(ended)
		e.Run(ctx)
	}(s.engine, s.ended)
}

// halt ends the daemon: in order, or as SIGKILL does.
func (s *simulation) halt(crash bool) {
	if s.engine == nil {
		return
	}
	s.mu.Lock()
	if crash {
		s.alive = false
	}
	s.note("schedule", "the daemon ends, killed %v", crash)
	s.mu.Unlock()
	s.stop()
	<-s.ended
	s.asking.Wait() // what operators have asked for ends with the process
	s.mu.Lock()
	s.alive = false
	s.mu.Unlock()
	select {
	case <-s.crashed:
	default:
	}
	s.engine = nil
}

// sleep lets time pass, or less if the daemon has died in it.
func (s *simulation) sleep(d time.Duration) {
	select {
	case <-s.crashed:
		s.turn() // what it was at when it died is over by then
		s.halt(true)
	case <-time.After(d):
	}
	s.turn()
	synctest.Wait()
	select {
	case <-s.crashed:
		s.halt(true)
	default:
	}
}

// pace is how long nothing happens: never a round number, so that little happens at the same moment.
func (s *simulation) pace() time.Duration {
	odd := time.Duration(1 + s.rng.IntN(999_999))
	switch n := s.rng.IntN(100); {
	case n < 45:
		return odd + time.Duration(s.rng.IntN(5))*time.Millisecond
	case n < 70:
		return odd + time.Duration(s.rng.IntN(200))*time.Millisecond
	case n < 88:
		return odd + time.Duration(s.rng.IntN(5000))*time.Millisecond
	case n < 97:
		return odd + time.Duration(s.rng.IntN(90))*time.Second
	case n < 99 || s.held(): // which is looked at every second
		return odd + time.Duration(s.rng.IntN(10))*time.Minute
	}
	return odd + time.Duration(s.rng.IntN(4))*time.Hour
}

// held reports whether the source is not what it was.
func (s *simulation) held() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.root != rootThere || s.over != "" || s.empty(s.source.tree)
}

// run lets things happen, then only what mends them, and checks that all is well in the end.
func (s *simulation) run() {
	defer func() {
		s.halt(true)
	}()
	s.start()
	for range 20 + s.rng.IntN(100) {
		s.sleep(s.pace())
		if s.broken() {
			return
		}
		s.act()
	}
	s.settle()
}
