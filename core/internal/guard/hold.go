package guard

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind is a reason to hold.
type Kind string

// The kinds. All but Deletions hold the whole sync; Deletions holds the deletions at one destination.
const (
	Missing      Kind = "missing"       // there is nothing at the source's path
	NotDirectory Kind = "not_directory" // there is something else
	Unreadable   Kind = "unreadable"    // it cannot be looked at
	Unmounted    Kind = "unmounted"     // the file system that it is on is not mounted
	Replaced     Kind = "replaced"      // it is another directory
	Empty        Kind = "empty"         // everything in it is gone, or it was never seen with anything in it
	Deletions    Kind = "deletions"     // more than max_delete allows
)

// valid reports whether k is one of the kinds.
func (k Kind) valid() bool {
	switch k {
	case Missing, NotDirectory, Unreadable, Unmounted, Replaced, Empty, Deletions:
		return true
	}
	return false
}

// maxSample bounds Hold.Sample.
const maxSample = 10

// Hold is a reason for which nothing is sent or deleted, or not all is deleted, until it has passed or
// somebody approves. As an error it is one line for the log. Its texts need not be parsed: they are for
// people.
type Hold struct {
	Kind   Kind      `json:"kind"`
	Since  time.Time `json:"since"`
	Seen   string    `json:"seen"`             // what was seen
	Lost   string    `json:"lost,omitempty"`   // what would have been lost
	Remedy string    `json:"remedy,omitempty"` // how to go on, with the commands

	// Of Deletions:
	Count  uint64 `json:"count,omitempty"`  // entries that would be deleted
	Sample []Path `json:"sample,omitempty"` // some of them, relative to the root; at most 10
}

// Error implements error.
func (h *Hold) Error() string {
	effect := "nothing is sent or deleted"
	if h.Kind == Deletions {
		effect = "they are not deleted"
	}
	parts := []string{h.Seen, effect}
	for _, part := range []string{h.Lost, h.Remedy} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "; ")
}

// Valid returns an error when h, read from a file, is not what was written.
func (h *Hold) Valid() error {
	switch {
	case !h.Kind.valid():
		return fmt.Errorf("a hold of the unknown kind %q", h.Kind)
	case h.Since.IsZero():
		return fmt.Errorf("a hold (%s) since never", h.Kind)
	case len(h.Sample) > maxSample:
		return fmt.Errorf("a hold with a sample of %d paths", len(h.Sample))
	}
	return nil
}

// Excess describes deletions that were left out, for a transport was not allowed so many.
type Excess struct {
	Sync        string
	Destination string
	Count       uint64   // entries that would be deleted, at least
	Sample      []string // some of their paths, relative to the root
}

// Hold returns the hold for deletions that were left out just now. The caller may set back its Since.
func (b *Budget) Hold(now time.Time, e Excess) *Hold {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	most := b.most()
	h := &Hold{Kind: Deletions, Since: now, Count: e.Count}
	for _, path := range e.Sample[:min(len(e.Sample), maxSample)] {
		h.Sample = append(h.Sample, Path(path))
	}
	h.Seen = fmt.Sprintf("%s would be deleted at %s; max_delete (%s", entries(e.Count), Path(e.Destination), b.limit)
	if most > 0 && b.limit.Percent > 0 {
		h.Seen += " of " + thousands(most)
	}
	h.Seen += fmt.Sprintf(") allows %s within %d minutes", thousands(b.limit.of(most)), window/time.Minute)
	if recent := b.recent(); recent > 0 {
		h.Seen += fmt.Sprintf(", of which %s are used", thousands(recent))
	}
	if named := h.Sample[:min(len(h.Sample), 3)]; len(named) > 0 {
		var names []string
		for _, path := range named {
			names = append(names, path.String())
		}
		h.Lost = strings.Join(names, ", ")
		if more := e.Count - min(e.Count, uint64(len(named))); more > 0 {
			h.Lost += fmt.Sprintf(" and %s more", thousands(more))
		}
	}
	h.Remedy = fmt.Sprintf("`filewatch verify %s` lists them, `filewatch approve %s` deletes them", e.Sync, e.Sync)
	return h
}

// entries returns a count with its noun.
func entries(n uint64) string {
	if n == 1 {
		return "1 entry"
	}
	return thousands(n) + " entries"
}

// thousands returns a number with a comma after each three digits.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
