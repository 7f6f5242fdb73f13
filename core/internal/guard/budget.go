package guard

import (
	"math"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Limit is how many entries may be deleted in one go. The zero Limit allows none.
type Limit struct {
	Percent uint64 // of the source's entries, but at least 100 entries; 100 = any number; 0 = Count holds
	Count   uint64
}

// Any is a number of deletions that is no limit.
const Any uint64 = math.MaxUint64

// leastPercent is what every percentage allows: half of a small tree is soon deleted on purpose.
const leastPercent = 100

// of returns the limit for a source with so many entries.
func (l Limit) of(entries uint64) uint64 {
	switch {
	case l.Percent >= 100:
		return Any
	case l.Percent > 0:
		return max(leastPercent, entries/100*l.Percent+entries%100*l.Percent/100)
	}
	return l.Count
}

// String returns the limit as one writes it.
func (l Limit) String() string {
	if l.Percent > 0 {
		return strconv.FormatUint(l.Percent, 10) + "%"
	}
	return strconv.FormatUint(l.Count, 10)
}

const (
	// window is what counts as one go: the deletions of one `rm -r` reach a destination in many small
	// batches.
	window = 10 * time.Minute
	// slots divide the window. What was deleted counts for window, and up to one slot longer.
	slots    = 60
	slotTime = window / slots
)

// Budget bounds the deletions at one destination. It has no clock of its own. It is safe for concurrent use.
type Budget struct {
	limit Limit

	mu       sync.Mutex
	slots    []slot // oldest first; none empty; at most slots+1
	now      time.Time
	entries  uint64 // as last told
	approved uint64 // how many the next full comparison may delete in any case; 0 = nothing is approved
	applied  bool   // the approval, to the last full comparison that asked
}

// slot is what was deleted in a short time.
type slot struct {
	begin   time.Time
	deleted uint64
	created uint64
	entries uint64 // of the source, the most that was told meanwhile
}

// NewBudget returns a budget of which nothing is used.
func NewBudget(l Limit) *Budget { return &Budget{limit: l} }

// With returns a budget with another limit that counts what b has counted. It knows of no approval.
func (b *Budget) With(l Limit) *Budget {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &Budget{limit: l, slots: slices.Clone(b.slots), now: b.now}
}

// Allowed returns how many entries may be deleted now: 0 = none, Any = no limit. entries is the number of
// the source's at the last full comparison, 0 when that is not known. full tells that a comparison of
// everything asks, to which an approval applies.
func (b *Budget) Allowed(now time.Time, entries uint64, full bool) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	b.entries = entries
	allowed := b.limit.of(b.most())
	if allowed != Any {
		allowed -= min(allowed, b.recent())
	}
	if full {
		b.applied = b.approved > 0
		allowed = max(allowed, b.approved)
	}
	return allowed
}

// Deleted notes deletions that were carried out, and entries that were created: what comes and goes, or
// is renamed, makes the source no smaller.
func (b *Budget) Deleted(now time.Time, deleted, created uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	if deleted == 0 && created == 0 {
		return
	}
	last := len(b.slots) - 1
	if last < 0 || b.now.Sub(b.slots[last].begin) >= slotTime {
		b.slots = append(b.slots, slot{begin: b.now})
		last++
	}
	s := &b.slots[last]
	s.deleted = add(s.deleted, deleted)
	s.created = add(s.created, created)
	s.entries = max(s.entries, b.entries)
}

// Approve lets the next full comparison delete so many entries.
func (b *Budget) Approve(count uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.approved = count
}

// Approved reports whether an approval waits for the next full comparison.
func (b *Budget) Approved() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.approved > 0
}

// Compared notes that a full comparison has been carried out, after what it deleted was noted. It uses an
// approval up that had been given when it asked; what was deleted under it, and before, no longer counts.
func (b *Budget) Compared() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.applied {
		b.approved, b.applied, b.slots = 0, false, nil
	}
}

// forget drops what was deleted too long ago. When the clock was set back, everything keeps its age. b.mu
// is held.
func (b *Budget) forget(now time.Time) {
	if now.Before(b.now) {
		for i := range b.slots {
			b.slots[i].begin = b.slots[i].begin.Add(now.Sub(b.now))
		}
	}
	b.now = now
	n := 0
	for n < len(b.slots) && now.Sub(b.slots[n].begin) >= window+slotTime {
		n++
	}
	b.slots = b.slots[n:]
}

// most returns the number of entries that the limit is measured by. What has been deleted lowers the number,
// but not the limit that it counts against. b.mu is held.
func (b *Budget) most() uint64 {
	n := b.entries
	for _, s := range b.slots {
		n = max(n, s.entries)
	}
	return n
}

// recent returns how many deletions count at present. b.mu is held.
func (b *Budget) recent() uint64 {
	var deleted, created uint64
	for _, s := range b.slots {
		deleted, created = add(deleted, s.deleted), add(created, s.created)
	}
	return deleted - min(deleted, created)
}

func add(a, b uint64) uint64 {
	if a > Any-b {
		return Any
	}
	return a + b
}
