package core

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
)

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
	s.flushes++
	base := turn.Order(context.Background(), fmt.Sprint("flush ", s.flushes), s.turns)
	s.asking.Go(func() {
		ctx, cancel := context.WithTimeout(base, timeout)
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
		turn.Wait(ctx)
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
	})
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
	s.asking.Go(func() {
		r := engine.Status()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.runs(daemon) {
			s.judge(r)
		}
	})
}

// judge holds a report that was made at this moment against the truth. The world is locked.
func (s *simulation) judge(r status.Report) {
	if len(r.Syncs) == 0 {
		return // the block has gone meanwhile
	}
	if w := r.Syncs[0].Watch; w.Watched && s.unseen && time.Since(s.unseenSince) > time.Millisecond {
		s.violated("status says that everything is watched, and nothing is for %v", time.Since(s.unseenSince))
	}
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
		case held || d.held:
			if got.State != status.Held {
				s.violated("%s: status says %q while the source is %s, deletions held since before the start: %v", d.endpoint, got.State, s.root, d.held)
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

// settle ends all faults and waits until everything is in step.
func (s *simulation) settle() {
	s.mu.Lock()
	s.faults = false
	s.dark = ""
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
	if s.removed {
		s.reload()
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
	// A comparison may name each large file although it is the same, which takes two calls.
	large := 0
	for _, n := range s.source.tree {
		if n.large(s.plan.LargeFile) {
			large++
		}
	}
	if n := callsNow - calls; n > len(s.dests)*(int(period/time.Minute)+3+4*large) {
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
