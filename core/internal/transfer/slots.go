package transfer

import (
	"context"
	"slices"
	"sync"

	"github.com/filewatch/filewatch/core/internal/turn"
)

// Slots bounds how many transfers are under way at a time, of all destinations together. Who came first goes
// first. Comparisons of everything and large files, which may take hours, never have all of the slots, unless
// there is only one.
type Slots struct {
	mu         sync.Mutex // guards all below
	all        int        // 0 = no limit
	used, bulk int        // bulk of the used ones are for what takes long
	waiting    []*waiter  // in the order of their coming
}

type waiter struct {
	bulk bool
	on   chan struct{} // closed when it has its slot
}

// NewSlots returns so many slots; 0 = no limit.
func NewSlots(n int) *Slots { return &Slots{all: n} }

// Set changes how many there are. Transfers under way go on.
func (s *Slots) Set(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = n
	s.serve()
}

// limited reports whether there is a limit.
func (s *Slots) limited() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all > 0
}

// take waits for a slot. It returns what gives it back, or nil when ctx ends first. It calls waits when it has to
// wait, and again when that is over.
func (s *Slots) take(ctx context.Context, bulk bool, waits func(bool)) (leave func()) {
	w := &waiter{bulk: bulk, on: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, w)
	s.serve()
	s.mu.Unlock()
	leave = sync.OnceFunc(func() { s.leave(w) })
	select {
	case <-w.on:
		turn.Wait(ctx)
		return leave
	default:
	}
	waits(true)
	defer waits(false)
	select {
	case <-w.on:
		turn.Wait(ctx)
		return leave
	case <-ctx.Done():
		leave()
		return nil
	}
}

// leave gives up a slot, or the wait for one.
func (s *Slots) leave(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiting, w); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		return
	}
	s.used--
	if w.bulk {
		s.bulk--
	}
	s.serve()
}

// serve gives out what is free. s.mu is held.
func (s *Slots) serve() {
	s.waiting = slices.DeleteFunc(s.waiting, func(w *waiter) bool {
		if s.all > 0 && (s.used >= s.all || w.bulk && s.bulk >= max(1, s.all-1)) {
			return false
		}
		s.used++
		if w.bulk {
			s.bulk++
		}
		close(w.on)
		return true
	})
}
