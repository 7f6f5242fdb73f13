package core

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

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
	case n < 94:
		s.disturbRoot()
	case n < 96:
		s.reload()
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

// pause pauses, or ends that; what is paused is so from the end of the call on, or until its beginning.
func (s *simulation) pause(paused bool) {
	if !paused {
		before := s.setPaused(false)
		if s.engine.Resume("s") != nil { // there is no such block now
			s.setPaused(before)
		}
		return
	}
	if s.engine.Pause("s") == nil {
		s.setPaused(true)
	}
}

// setPaused returns what was before.
func (s *simulation) setPaused(paused bool) (before bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = s.paused
	if s.alive {
		s.paused = paused
	}
	return before
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
	for i, d := range s.dests {
		// Only what was told to be approved is: of an empty source everything.
		told := slices.ContainsFunc(approved, func(text string) bool {
			return strings.Contains(text, "would be deleted at "+d.endpoint.String())
		})
		d.approved = wereApproved[i] || err == nil && (told || empty || was == rootEmpty)
		d.held = d.held && !told
	}
	if err != nil {
		s.approved = before
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
	switch s.rng.IntN(10) {
	case 8:
		s.dark = s.pick(s.rng, true)
		s.note("schedule", "%q cannot be listed", s.dark)
		return
	case 9:
		s.jump = time.Duration(s.rng.Int64N(int64(96*time.Hour))) - 48*time.Hour
		s.skew += s.jump
		s.note("schedule", "the clock jumps by %v", s.jump)
		return
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
		s.dark = ""
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
				idle = idle && len(d.running) == 0
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
