// Package guard keeps a sync from deleting what should stay. A source that is missing, unmounted, replaced,
// unreadable or emptied looks like one whose files were all deleted; so does one that somebody really
// deletes by mistake.
//
// A Guard knows which directory the source is, also across restarts. A Budget bounds how much is deleted
// in one go. What they object to is a Hold, which says what was seen and how to go on.
package guard

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
)

// Checker is what a transfer asks about its source. A *Guard is one.
type Checker interface {
	// Check returns nil when the source may be acted on, deletions included, and otherwise a *Hold.
	Check() error
}

// Source is what is remembered of a source.
type Source struct {
	Path       Path     `json:"path"` // the root, as configured
	Identity   Identity `json:"identity,omitzero"`
	Entries    uint64   `json:"entries"`                // at the last full comparison; 0 = none yet, or not counted
	MayBeEmpty bool     `json:"may_be_empty,omitempty"` // approved when it was empty, and empty since then
	Held       *Hold    `json:"held,omitempty"`         // for what it is held, if it is
	Instead    Sight    `json:"instead,omitzero"`       // what was seen there when it was held; zero = nothing
}

// Valid returns an error when s, read from a file, is not what was written.
func (s Source) Valid() error {
	if s.Path != "" && !filepath.IsAbs(string(s.Path)) {
		return fmt.Errorf("the source %s is not absolute", s.Path)
	}
	if s.Identity.known() && s.Path == "" {
		return errors.New("an identity without a source")
	}
	if s.Held != nil {
		return s.Held.Valid()
	}
	return nil
}

// Config says what a Guard watches over.
type Config struct {
	Sync   string // name of the sync block, for the commands in texts
	Root   string // absolute path of the source
	Delete bool   // what is missing in the source is deleted elsewhere
	// MayEmpty says that the source may be emptied without asking, as long as it is the directory it was.
	MayEmpty bool
	// Ignored tells which entries of the root do not count when it is empty or not, for they are not
	// transferred: (*filter.Filter).Match. nil = all count.
	Ignored func(name string, dir bool) bool
	// Known is what was remembered. What belongs to another root counts for nothing.
	Known Source
	// Remember is called with what is to be remembered whenever that changes, one call at a time; nil =
	// nothing is. It must not call the Guard.
	Remember func(Source)
	// Look is nil for the real thing.
	Look Looker
}

// Guard watches over one source. It is safe for concurrent use.
type Guard struct {
	config Config

	mu    sync.Mutex
	known Source
	hold  *Hold // of the last look, which may be that of an earlier run; nil = none
	seen  Sight // of the last look that saw a directory
}

// New returns the guard of a root of which nothing is known, and which remembers nothing. deletes says
// whether what is missing there is deleted elsewhere.
func New(root string, deletes bool) *Guard { return Open(Config{Root: root, Delete: deletes}) }

// Open returns the guard of a source. It does not look at it yet.
func Open(c Config) *Guard {
	if c.Ignored == nil {
		c.Ignored = func(string, bool) bool { return false }
	}
	if c.Remember == nil {
		c.Remember = func(Source) {}
	}
	if c.Look == nil {
		c.Look = &patient{Looker: newDisk()}
	}
	g := &Guard{config: c, known: c.Known}
	if g.known.Path != Path(c.Root) {
		g.known = Source{Path: Path(c.Root)}
	}
	g.hold, g.seen = g.known.Held, g.known.Instead
	return g
}

// Check looks at the source and returns nil when it may be acted on, deletions included, and otherwise a
// *Hold. It is to be called at start and right before each transfer; it takes about 10 µs, and 5 s at
// most: a source that does not answer is Unreadable. The first directory with something in it that is found is the source
// from then on. A hold ends by itself when the source is again what it was.
func (g *Guard) Check() error {
	seen, err := g.config.Look.Look(g.config.Root, g.config.Ignored)
	g.mu.Lock()
	defer g.mu.Unlock()
	if hold := g.judge(seen, err); hold != nil {
		return hold
	}
	return nil
}

// judge decides about what was seen and remembers it. g.mu is held.
func (g *Guard) judge(seen Sight, err error) *Hold {
	next := g.known
	hold := g.config.judge(g.known, seen, err)
	if hold == nil {
		next.Identity = next.Identity.learn(seen.Identity)
		next.MayBeEmpty = next.MayBeEmpty && seen.Empty
	} else if next.Held != nil && next.Held.Kind == hold.Kind {
		hold.Since = next.Held.Since
	}
	if err == nil {
		g.seen = seen
	}
	g.hold, next.Held, next.Instead = hold, hold, Sight{}
	if hold != nil && err == nil {
		next.Instead = seen
	}
	g.remember(next)
	return hold
}

// remember replaces what is known. g.mu is held.
func (g *Guard) remember(next Source) {
	changed := !sameHold(g.known.Held, next.Held)
	a, b := g.known, next
	a.Held, b.Held = nil, nil
	g.known = next
	if changed || a != b {
		g.config.Remember(next)
	}
}

func sameHold(a, b *Hold) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Error() == b.Error() && a.Since.Equal(b.Since)
}

// Compared notes how many entries the source had in a comparison of all of it; 0 = they were not counted.
func (g *Guard) Compared(entries uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if entries > 0 {
		next := g.known
		next.Entries = entries
		g.remember(next)
	}
}

// Entries returns the number of entries at the last full comparison; 0 = not known.
func (g *Guard) Entries() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known.Entries
}

// Hold returns for what the source was held when it was last looked at, also by an earlier run, or nil.
func (g *Guard) Hold() *Hold {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.hold
}

// ErrNotHeld is returned by Approve when there is nothing to approve.
var ErrNotHeld = errors.New("the source is not held")

// Approve takes the source as it is from now on, and returns the hold that this ends. It blocks as Check
// does. It approves only what the last Check saw, which may be that of an earlier run: when the source has
// changed since, the error is the new *Hold. What is not there or cannot be read cannot be approved either.
//
// After the approval of an Empty source, or of an empty Replaced one, the deletions are still up to the
// Budget.
func (g *Guard) Approve() (*Hold, error) {
	seen, err := g.config.Look.Look(g.config.Root, g.config.Ignored)
	g.mu.Lock()
	defer g.mu.Unlock()
	approved, before := g.hold, g.seen
	if approved == nil {
		return nil, ErrNotHeld
	}
	now := g.judge(seen, err)
	switch {
	case now == nil:
		return nil, ErrNotHeld
	case err != nil:
		return nil, fmt.Errorf("there is nothing to approve: %w", now)
	case now.Kind != approved.Kind || before.Empty != seen.Empty || !before.Identity.same(seen.Identity):
		return nil, fmt.Errorf("the source has changed meanwhile, look again: %w", now)
	}
	next := Source{Path: g.known.Path, Identity: seen.Identity, Entries: g.known.Entries, MayBeEmpty: seen.Empty}
	g.hold = nil
	g.remember(next)
	return approved, nil
}
