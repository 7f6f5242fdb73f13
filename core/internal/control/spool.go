package control

import "sync"

// spool keeps differences until they are taken.
type spool struct {
	mu      sync.Mutex
	waiting []Difference  // guarded by mu
	more    chan struct{} // capacity 1: waiting has grown; closed at the end
}

func newSpool() *spool { return &spool{more: make(chan struct{}, 1)} }

func (s *spool) add(d Difference) {
	s.mu.Lock()
	s.waiting = append(s.waiting, d)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default: // the one that is there tells of all
	}
}

// end says that nothing will be added any more.
func (s *spool) end() { close(s.more) }

// each calls take for what has been added and will be, until the end.
func (s *spool) each(take func(Difference)) {
	for range s.more {
		s.mu.Lock()
		all := s.waiting
		s.waiting = nil
		s.mu.Unlock()
		for _, d := range all {
			take(d)
		}
	}
}
