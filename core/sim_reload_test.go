package core

import (
	"time"

	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/core/internal/plan"
)

// reload reads the configuration again: the same one, one in which the block is another, or one without it.
// What is refused never reaches the engine.
func (s *simulation) reload() {
	if s.engine == nil {
		return
	}
	s.mu.Lock()
	before := s.started
	next := s.plan
	s.mu.Unlock()
	switch n := s.rng.IntN(4); {
	case s.removed:
		s.log("reload: the block is back")
		s.carryOut(next)
	case n == 0:
		s.log("reload: the same")
		if changes := s.engine.Reload(s.configuration(), s); len(changes.told()) > 0 {
			s.violate("a reload of the same tells of changes: %v", changes)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.started != before {
			s.violated("a reload of the same opens streams")
		}
	case n == 1:
		s.log("reload: the block is gone")
		s.engine.Reload(&plan.Plan{}, s)
		s.removed = true
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, d := range s.dests {
			if len(d.running) > 0 && s.alive {
				s.violated("%s: a block that is gone still transfers", d.endpoint)
			}
		}
	default:
		next.Settle += time.Millisecond
		if next.MaxDelete.Percent == 0 {
			next.MaxDelete = config.MaxDelete{Count: 1 + s.rng.Uint64N(12)}
		}
		s.log("reload: the block is another")
		s.carryOut(next)
	}
}

// configuration is the plan of what the block is now.
func (s *simulation) configuration() *plan.Plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &plan.Plan{Syncs: []plan.Sync{s.plan}}
}

// carryOut reloads with a block, which is counted as what has been deleted before.
func (s *simulation) carryOut(next plan.Sync) {
	s.mu.Lock()
	if s.removed && s.known.Source.Identity.Inode != s.identity && (s.root == rootEmpty || s.root == rootOther) {
		s.restore() // nobody remembers that it was another one
	}
	for _, d := range s.dests {
		if s.removed {
			d.deleted, d.created = nil, nil // the budget has gone with it
		}
		// The approval was for the block as it was. What it lets through meanwhile has begun before.
		d.approved = false
	}
	s.mu.Unlock()
	s.removed = false
	s.engine.Reload(&plan.Plan{Syncs: []plan.Sync{next}}, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = next
}

func (s *simulation) violate(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violated(format, args...)
}
