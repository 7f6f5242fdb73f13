package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
)

// simWatcher is the watcher plugin of one kind as one daemon sees it.
type simWatcher struct {
	w      *simWorld
	kind   string
	daemon int
}

// simStream is one Watch call of a watcher that the kernel tells. What it has to report waits in pending,
// where a barrier stays behind what was there before it.
type simStream struct {
	w       *simWorld
	name    string
	rng     *rand.Rand
	only    []string
	polls   bool
	turn    func()        // waits until it is the stream's
	wake    chan struct{} // capacity 1
	killed  chan error    // capacity 1
	deaf    bool          // the root is not what is watched any more
	ready   bool
	blind   []string // subtrees that are not watched
	pending []report
}

// report is something that a stream has to tell: one of the three.
type report struct {
	change  sdk.Change
	barrier *sdk.Barrier
	blind   *[]string
}

// hint takes what the kernel tells. w is locked.
func (s *simStream) hint(c sdk.Change) {
	if s.polls || !s.ready || s.deaf || slices.ContainsFunc(s.blind, func(b string) bool { return within(c.Path, b) }) {
		return
	}
	s.add(report{change: c})
}

// add has something reported. w is locked.
func (s *simStream) add(r report) {
	s.pending = append(s.pending, r)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// kill ends the stream. w is locked.
func (s *simStream) kill(err error) {
	s.deaf = true
	select {
	case s.killed <- err:
	default:
	}
}

// setBlind changes what is not watched. What is watched from now on has to be told first. w is locked.
func (s *simStream) setBlind(paths []string) {
	s.blind = paths
	s.add(report{blind: &paths})
}

func (p simWatcher) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	w := p.w
	turn.Wait(ctx)
	w.mu.Lock()
	w.started++
	s := &simStream{
		w: w, name: fmt.Sprintf("%s %d", p.kind, w.started), rng: w.rng("stream", w.started), only: req.Only,
		polls: p.kind == "poll", wake: make(chan struct{}, 1), killed: make(chan error, 1),
	}
	ctx = turn.As(ctx, s.name)
	s.turn = func() { turn.Wait(ctx) }
	alive := w.runs(p.daemon)
	lost := w.root == rootMissing || w.root == rootFile
	fails := w.faults && s.rng.IntN(12) == 0
	if alive {
		w.note(s.name, "starts, only %q", req.Only)
		w.streams = append(w.streams, s)
	}
	w.mu.Unlock()
	s.turn()
	defer func() {
		s.turn()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.streams = slices.DeleteFunc(w.streams, func(o *simStream) bool { return o == s })
		w.look()
		if w.runs(p.daemon) {
			w.note(s.name, "ends")
		}
	}()
	start := time.Duration(s.rng.IntN(50)) * time.Millisecond
	if s.rng.IntN(10) == 0 {
		start = time.Duration(s.rng.IntN(40)) * time.Second
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.killed:
		return err
	case <-time.After(start + time.Duration(s.rng.IntN(1000))):
	}
	s.turn()
	if err := s.end(); err != nil {
		return err
	}
	switch {
	case !alive:
		<-ctx.Done()
		return nil
	case lost:
		return sdk.RootLost(errors.New("no such directory"))
	case fails:
		return errors.New("the watcher cannot start")
	}
	if s.polls {
		return s.poll(ctx, req, r)
	}
	return s.run(ctx, req, r)
}

// run reports what the kernel tells, late and out of order.
func (s *simStream) run(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	w := s.w
	w.mu.Lock()
	s.ready = true
	w.look()
	w.note(s.name, "ready")
	w.mu.Unlock()
	r.Ready()
	w.mu.Lock()
	if w.faults && s.rng.IntN(8) == 0 {
		s.setBlind([]string{w.pick(s.rng, true)})
	}
	w.mu.Unlock()
	var timer <-chan time.Time
	for {
		due, woken := false, false
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.killed:
			return err
		case b := <-req.Barriers:
			s.ask(b)
		case <-s.wake:
			woken = true
		case <-timer:
			due = true
		}
		s.turn()
		// What else has happened meanwhile is acted on in one order.
		if err := s.take(req.Barriers); err != nil {
			return err
		}
		if !due {
			select {
			case <-timer:
				due = true
			default:
			}
		}
		switch {
		case due:
			timer = nil
			if s.tell(r) {
				timer = time.After(s.delay())
			}
		case timer == nil && (woken || s.waits()):
			timer = time.After(s.delay())
		}
	}
}

// ask has a barrier reached once all that waits has been told.
func (s *simStream) ask(b sdk.Barrier) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.add(report{barrier: &b})
}

// take takes the barriers that wait, and the error with which the stream is killed.
func (s *simStream) take(barriers <-chan sdk.Barrier) error {
	for {
		select {
		case b := <-barriers:
			s.ask(b)
			continue
		default:
		}
		break
	}
	return s.end()
}

// end returns the error with which the stream was killed while something else woke it.
func (s *simStream) end() error {
	select {
	case err := <-s.killed:
		return err
	default:
		return nil
	}
}

func (s *simStream) waits() bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return len(s.pending) > 0 && !s.deaf
}

// look notes whether any stream sees anything. w is locked.
func (w *simWorld) look() {
	unseen := !slices.ContainsFunc(w.streams, func(s *simStream) bool { return s.ready })
	if unseen && !w.unseen {
		w.unseenSince = time.Now()
	}
	w.unseen = unseen
}

// delay is how long something takes to reach the core.
func (s *simStream) delay() time.Duration {
	d := time.Duration(s.rng.IntN(3_000_000))
	if s.w.hasFaults() {
		switch s.rng.IntN(20) {
		case 0:
			d += time.Duration(s.rng.IntN(20)) * time.Second
		case 1, 2:
			d += time.Duration(s.rng.IntN(300)) * time.Millisecond
		}
	}
	return d
}

// tell reports some of what waits, and whether more does.
func (s *simStream) tell(r sdk.Reporter) bool {
	w := s.w
	w.mu.Lock()
	if s.deaf {
		w.mu.Unlock()
		return false
	}
	n := len(s.pending)
	if n > 0 && s.rng.IntN(3) == 0 {
		n = 1 + s.rng.IntN(n)
	}
	batch := slices.Clone(s.pending[:n])
	s.pending = slices.Delete(s.pending, 0, n)
	more := len(s.pending) > 0
	faults := w.faults
	w.mu.Unlock()

	for len(batch) > 0 {
		end := slices.IndexFunc(batch, func(r report) bool { return r.barrier != nil || r.blind != nil })
		if end < 0 {
			end = len(batch)
		}
		var changes []sdk.Change
		for _, b := range batch[:end] {
			i := slices.IndexFunc(changes, func(c sdk.Change) bool { return c.Path == b.change.Path })
			if i < 0 || b.change.From != "" || s.rng.IntN(4) == 0 {
				changes = append(changes, b.change)
				continue
			}
			changes[i].Ops |= b.change.Ops
			changes[i].Scope = max(changes[i].Scope, b.change.Scope)
		}
		if faults && len(changes) > 0 {
			changes = s.distort(changes)
		}
		for _, c := range changes {
			s.apart()
			s.note("tells %s %s", c.Ops, c)
			r.Change(c)
		}
		s.apart()
		if end == len(batch) {
			break
		}
		if b := batch[end]; b.barrier != nil {
			s.note("has told everything")
			b.barrier.Reached()
		} else {
			s.note("does not see %q", *b.blind)
			r.Unwatched(*b.blind, "watch limit")
		}
		batch = batch[end+1:]
	}
	return more
}

// distort does what the protocol allows: it repeats, changes the order, and widens what is in doubt.
func (s *simStream) distort(changes []sdk.Change) []sdk.Change {
	switch s.rng.IntN(30) {
	case 0: // overflow
		return []sdk.Change{{Scope: sdk.ScopeSubtree}}
	case 1, 2:
		for i := range changes {
			if s.rng.IntN(2) == 0 {
				changes[i] = sdk.Change{Path: parentOf(changes[i].Path), Scope: sdk.ScopeSubtree}
			}
		}
	case 3, 4, 5:
		changes = append(changes, changes[s.rng.IntN(len(changes))])
	case 6, 7, 8: // a rename that there was not
		c := &changes[s.rng.IntN(len(changes))]
		c.From, c.Ops = changes[s.rng.IntN(len(changes))].Path, c.Ops|sdk.OpCreate
	}
	if s.rng.IntN(2) == 0 {
		s.rng.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	}
	return changes
}

// apart lets a moment pass: what happens at the same one happens in any order.
func (s *simStream) apart() {
	time.Sleep(time.Duration(1 + s.rng.IntN(2000)))
	s.turn()
}

func (s *simStream) note(format string, args ...any) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.note(s.name, format, args...)
}

func (w *simWorld) hasFaults() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults
}

// poll looks now and then and reports what is not as it was.
func (s *simStream) poll(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	w := s.w
	var (
		before  simTree
		waiting []sdk.Barrier
		every   = time.Duration(2+s.rng.IntN(20)) * time.Second
	)
	for {
		proved := waiting
		waiting = nil
		now := simTree{}
		// One half of the tree is read later than the other.
		for half := range 2 {
			w.mu.Lock()
			view := w.view()
			for p, n := range view {
				if int(p[0])%2 == half && (len(s.only) == 0 || slices.ContainsFunc(s.only, func(o string) bool { return within(p, o) })) {
					now[p] = n
				}
			}
			w.mu.Unlock()
			if half == 0 && s.rng.IntN(2) == 0 {
				select {
				case <-ctx.Done():
					return nil
				case err := <-s.killed:
					return err
				case <-time.After(time.Duration(s.rng.IntN(2_000_000_000))):
				}
				s.turn()
				if err := s.end(); err != nil {
					return err
				}
			}
		}
		if before == nil {
			s.note("ready")
			w.mu.Lock()
			s.ready = true
			w.look()
			w.mu.Unlock()
			r.Ready()
		} else {
			s.compare(before, now, r)
		}
		before = now
		if err := s.end(); err != nil {
			return err
		}
		for _, b := range proved {
			s.apart()
			s.note("has told everything")
			b.Reached()
		}
		timer := time.After(every + time.Duration(s.rng.IntN(1_000_000)))
		for look := false; !look; {
			if err := s.end(); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case err := <-s.killed:
				return err
			case b := <-req.Barriers:
				s.turn()
				waiting = append(waiting, b)
				select {
				case <-timer:
					look = true
				default:
					timer = time.After(time.Duration(s.rng.IntN(30_000_000)))
				}
			case <-timer:
				s.turn()
				look = true
				select {
				case b := <-req.Barriers:
					waiting = append(waiting, b)
				default:
				}
			}
		}
	}
}

// compare reports the differences of two looks.
func (s *simStream) compare(before, now simTree, r sdk.Reporter) {
	tell := func(c sdk.Change) {
		s.apart()
		s.note("tells %s %s", c.Ops, c)
		r.Change(c)
	}
	changed := func(p string) bool { was, ok := before[p]; return !ok || was != now[p] }
	for _, p := range now.those(changed) {
		n := now[p]
		was, ok := before[p]
		switch {
		case !ok && n.dir:
			tell(sdk.Change{Path: p, Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate})
		case !ok:
			tell(sdk.Change{Path: p, Ops: settled})
		case was.dir != n.dir:
			tell(sdk.Change{Path: p, Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate})
		default:
			tell(sdk.Change{Path: p, Ops: sdk.OpWrite | sdk.OpClose})
		}
	}
	for _, p := range before.those(func(p string) bool { _, ok := now[p]; return !ok }) {
		tell(sdk.Change{Path: p, Ops: sdk.OpRemove})
	}
}
