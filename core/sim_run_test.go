package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/plan"
	"github.com/filewatch/filewatch/core/internal/queue"
	"github.com/filewatch/filewatch/core/internal/state"
	"github.com/filewatch/filewatch/core/internal/status"
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
	rng    *rand.Rand
	engine *Engine // nil = no daemon runs
	stop   context.CancelFunc
	ended  chan struct{}
	paused bool // says the operator
}

// simulate runs one seed and returns what was promised and not kept, and the trace.
// Of the directory root only the file system is looked at.
func simulate(t *testing.T, root string, seed uint64, bug simBug, traced bool) (violation, trace string) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(seed, bug, root)
		s.traced = traced
		s.run()
		violation, trace = s.violation, s.story()
	})
	return violation, trace
}

func newSimulation(seed uint64, bug simBug, root string) *simulation {
	w := &simWorld{
		seed: seed, bug: bug, source: newSimSource(), identity: 1,
		faults: true, unmounts: make(chan struct{}, 1), crashed: make(chan struct{}, 1), seq: map[string]int{},
	}
	s := &simulation{simWorld: w, rng: w.rng("schedule", 0)}
	w.plan = plan.Sync{
		Name:      "s",
		Source:    root,
		Exclude:   []string{"*.tmp", "/cache/"},
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
	w.exclude, _ = filter.Parse(w.plan.Exclude)
	for i := range 1 + s.rng.IntN(2) {
		e := sdk.Endpoint{Path: fmt.Sprintf("/to%d", i)}
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
	s.paused, s.approved = s.known.Paused, s.known.Source.MayBeEmpty
	for _, d := range s.dests {
		d.deleted, d.created, d.approved = nil, nil, false // a budget is not remembered
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
			mounts: func(string, *filter.Filter) mountTracker { return simMounts{s.simWorld} },
			queue: queue.Config{
				Limit:      []int{0, 8, 30}[s.rng.IntN(3)],
				BatchPaths: []int{0, 1, 3, 10}[s.rng.IntN(4)],
				RetryMax:   time.Minute,
				Rand:       func() float64 { return half },
			},
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
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
		s.halt(true)
	case <-time.After(d):
	}
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

// act does one thing at random.
func (s *simulation) act() {
	switch n := s.rng.IntN(100); {
	case n < 50:
		s.mu.Lock()
		for range 1 + s.rng.IntN(3) {
			if s.root == rootThere && (s.over == "" || s.rng.IntN(2) == 0) {
				s.note("source", "%s", s.mutate(s.rng, false))
			}
		}
		s.mu.Unlock()
	case n < 57:
		s.flush()
	case n < 64:
		s.status()
	case n < 76:
		s.operate()
	case n < 84:
		s.trouble()
	case n < 90:
		s.disturbWatchers()
	case n < 95:
		s.disturbRoot()
	default:
		if s.engine == nil {
			s.start()
		} else if s.rng.IntN(2) == 0 {
			s.halt(s.rng.IntN(3) > 0)
			if s.rng.IntN(2) == 0 {
				s.start()
			}
		}
	}
	if s.engine == nil && s.rng.IntN(4) == 0 {
		s.start()
	}
}

// flush asks for all to be confirmed, and does not wait for the answer.
func (s *simulation) flush() {
	if s.engine == nil {
		return
	}
	daemon, began, engine := s.daemon, time.Now(), s.engine
	timeout := time.Duration(1+s.rng.IntN(60)) * time.Second
	verify, repair := s.rng.IntN(5) == 0, s.rng.IntN(2) == 0
	ended := s.ended
	s.mu.Lock()
	s.note("schedule", "flush for %v, verify %v, repair %v", timeout, verify, repair)
	s.mu.Unlock()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		go func() { // nobody asks a daemon that has ended
			select {
			case <-ended:
				cancel()
			case <-ctx.Done():
			}
		}()
		var err error
		found := 0
		if verify {
			err = engine.Verify(ctx, "s", repair, func(_ string, d sdk.Difference) {
				s.mu.Lock()
				defer s.mu.Unlock()
				found++
				s.note("verify", "%s %s", d.Kind, d.Path)
			})
		} else {
			err = engine.Flush(ctx, "s")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.runs(daemon) {
			return
		}
		s.note("flush", "of %s: %s", clock(began), text(err))
		if err != nil || found > 0 && !repair {
			return
		}
		for _, d := range s.dests {
			if text := s.source.stale(d.tree, s.exclude, s.plan.Delete, began); text != "" {
				s.violated("%s: a flush (verify %v) of %s is done, but %s", d.endpoint, verify, clock(began), text)
			}
		}
	}()
}

// text returns the errors of several destinations in one order.
func text(err error) string {
	lines := strings.Split(fmt.Sprint(err), "\n")
	slices.Sort(lines)
	return strings.Join(lines, " | ")
}

// status asks for a report and holds it against the truth.
func (s *simulation) status() {
	if s.engine == nil {
		return
	}
	daemon, engine := s.daemon, s.engine
	go func() {
		r := engine.Status()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.runs(daemon) {
			s.judge(r)
		}
	}()
}

// judge holds a report that was made at this moment against the truth. The world is locked.
func (s *simulation) judge(r status.Report) {
	if n := r.Syncs[0].Watch.Missed; n > 0 {
		s.violated("the watcher, which tells everything, has missed %d changes", n)
	}
	for i, d := range s.dests {
		got := r.Syncs[0].Destinations[i]
		s.note("status", "%s %s, %d pending", got.Destination, got.State, got.Pending)
		held := s.root != rootThere || s.over != ""
		switch {
		case s.paused:
			if got.State != status.Paused {
				s.violated("%s: status says %q while paused", d.endpoint, got.State)
			}
		case held:
			if got.State != status.Held {
				s.violated("%s: status says %q while the source is %s", d.endpoint, got.State, s.root)
			}
		case got.State == status.InSync && got.SyncedAt == nil:
			s.violated("%s: in sync since nobody knows when", d.endpoint)
		}
		if got.SyncedAt == nil {
			continue
		}
		if text := s.source.stale(d.tree, s.exclude, s.plan.Delete, *got.SyncedAt); text != "" && got.State == status.InSync {
			s.violated("%s: status says in sync as of %s, but %s", d.endpoint, clock(*got.SyncedAt), text)
		}
	}
}

// operate does what an operator may do at any time.
func (s *simulation) operate() {
	if s.engine == nil {
		return
	}
	switch s.rng.IntN(6) {
	case 0:
		s.log("pause")
		s.pause(true)
	case 1, 2:
		s.log("resume")
		s.pause(false)
	case 3:
		s.log("resync")
		_ = s.engine.Resync("s")
	default:
		s.approve()
	}
}

func (s *simulation) log(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("schedule", "%s", what)
}

func (s *simulation) pause(paused bool) {
	if paused {
		_ = s.engine.Pause("s")
	} else {
		_ = s.engine.Resume("s")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alive {
		s.paused = paused
	}
}

// approve lets through whatever is held.
func (s *simulation) approve() {
	s.mu.Lock()
	empty := s.root == rootThere && s.empty(s.source.tree)
	was := s.root
	before := s.approved
	s.approved = s.approved || empty || was == rootEmpty
	var wereApproved []bool
	for _, d := range s.dests {
		wereApproved = append(wereApproved, d.approved)
		d.approved = true // from the moment on when the engine knows
	}
	s.mu.Unlock()
	approved, err := s.engine.Approve("s")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("schedule", "approve: %q %v", approved, err)
	if err != nil {
		s.approved = before
		for i, d := range s.dests {
			d.approved = wereApproved[i]
		}
		return
	}
	switch {
	case was == rootEmpty:
		s.root = rootThere
		s.identity += 1000
		s.wipe(true)
	case was == rootOther:
		s.root = rootThere
		s.identity += 2000
		s.wipe(true)
		for _, p := range s.other.paths("") {
			n := s.other[p]
			s.source.set(p, &n)
		}
		s.approved = false
	}
}

// trouble begins or ends what keeps a destination from being written.
func (s *simulation) trouble() {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.dests[s.rng.IntN(len(s.dests))]
	switch s.rng.IntN(8) {
	case 0, 1:
		d.away = !d.away
	case 2:
		d.full = !d.full
	case 3:
		d.bad = s.pick(s.rng, s.rng.IntN(2) == 0)
	case 4:
		d.poison = s.pick(s.rng, false)
	default:
		d.away, d.full, d.bad, d.poison = false, false, "", ""
	}
	s.note("schedule", "%s: away %v, full %v, bad %q, poison %q", d.endpoint, d.away, d.full, d.bad, d.poison)
}

var errKilled = errors.New("the plugin has ended: killed")

// disturbWatchers kills a stream, or changes what it sees.
func (s *simulation) disturbWatchers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.streams) == 0 {
		return
	}
	st := s.streams[s.rng.IntN(len(s.streams))]
	switch n := s.rng.IntN(6); {
	case n < 2:
		s.note("schedule", "%s is killed", st.name)
		st.kill(errKilled)
	case st.polls || !st.ready || st.deaf:
	case n < 4:
		s.note("schedule", "%s sees everything again", st.name)
		st.setBlind(nil)
	default:
		if p := s.pick(s.rng, true); p != "" {
			s.note("schedule", "%s does not see %s any more", st.name, p)
			st.setBlind([]string{p})
		}
	}
}

// disturbRoot takes the source away, brings it back, empties it, or mounts something in it.
func (s *simulation) disturbRoot() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.root != rootThere:
		s.restore()
	case s.over != "":
		s.unmount()
	default:
		switch s.rng.IntN(4) {
		case 0:
			s.note("schedule", "the source is emptied")
			s.wipe(false)
		case 1:
			idle := true
			for _, d := range s.dests {
				idle = idle && d.active == 0
			}
			if p := s.pick(s.rng, true); p != "" && idle {
				s.note("schedule", "something is mounted over %s", p)
				s.over = p
				s.tellMounts()
			}
		default:
			s.root = rootState(1 + s.rng.IntN(5))
			if s.known.Source.Identity.Inode != s.identity {
				s.root = rootMissing // what nobody knows cannot be told from another
			}
			s.other = simTree{"f": *s.source.fresh(false), "other": *s.source.fresh(true)}
			s.note("schedule", "the source is %s", s.root)
			if s.root != rootUnreadable {
				s.loseRoot()
			}
		}
	}
}

// loseRoot ends the streams, which see nothing of another directory. The world is locked.
func (s *simulation) loseRoot() {
	for _, st := range s.streams {
		st.kill(sdk.RootLost(errors.New("the root is not what it was")))
	}
}

// restore brings the source back as it was, or with changes that nobody saw. The world is locked.
func (s *simulation) restore() {
	s.loseRoot()
	s.root = rootThere
	if s.rng.IntN(2) == 0 {
		s.note("source", "meanwhile: %s", s.mutate(s.rng, true))
	}
	s.note("schedule", "the source is back")
}

// unmount ends what hides a part of the source. The world is locked.
func (s *simulation) unmount() {
	s.note("schedule", "nothing is mounted over %s any more", s.over)
	s.over = ""
	s.tellMounts()
}

func (s *simulation) tellMounts() {
	select {
	case s.unmounts <- struct{}{}:
	default:
	}
}

// settle ends all faults and waits until everything is in step.
func (s *simulation) settle() {
	s.mu.Lock()
	s.faults = false
	for _, d := range s.dests {
		d.away, d.full, d.bad, d.poison = false, false, "", ""
	}
	if s.root != rootThere {
		s.restore()
	}
	if s.over != "" {
		s.unmount()
	}
	s.note("schedule", "no more faults")
	s.mu.Unlock()
	s.sleep(time.Second)
	if s.engine == nil {
		s.start()
	}
	s.pause(false)
	var last status.Report
	for range 120 {
		s.sleep(time.Minute)
		if s.broken() {
			return
		}
		last = s.engine.Status()
		s.mu.Lock()
		s.judge(last)
		held, done := false, true
		for i, d := range s.dests {
			got := last.Syncs[0].Destinations[i]
			held = held || got.State == status.Held
			done = done && got.State == status.InSync && !got.SyncedAt.Before(s.source.changed) &&
				s.source.stale(d.tree, s.exclude, s.plan.Delete, time.Now()) == ""
		}
		s.mu.Unlock()
		if held {
			s.approve()
		}
		if done {
			s.idle()
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, d := range s.dests {
		got := last.Syncs[0].Destinations[i]
		if text := s.source.stale(d.tree, s.exclude, s.plan.Delete, time.Now()); text != "" || got.State != status.InSync {
			s.violated("%s: not in step two hours after the last fault: %q, %d pending, %v %v: %s", d.endpoint, got.State, got.Pending, got.Failing, got.Hold, text)
		}
	}
}

// idle checks that a daemon with nothing to do does next to nothing, and answers.
func (s *simulation) idle() {
	count := func() (calls, started int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, d := range s.dests {
			calls += d.calls
		}
		return calls, s.started
	}
	calls, started := count()
	const period = 15 * time.Minute
	s.sleep(period)
	callsNow, startedNow := count()
	s.mu.Lock()
	// What nobody sees is compared every minute.
	if n := callsNow - calls; n > len(s.dests)*(int(period/time.Minute)+3) {
		s.violated("%d calls of the transport in %v with nothing to do", n, period)
	}
	if n := startedNow - started; n > 4 {
		s.violated("%d streams were opened in %v with nothing to do", n, period)
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := s.engine.Flush(ctx, "s"); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.violated("with nothing to do a flush fails: %v", err)
	}
}
