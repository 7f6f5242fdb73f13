package queue

import (
	"cmp"
	"container/heap"
	"slices"
	"strconv"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// Batch is what goes to the destination in one transfer.
type Batch struct {
	ID      string    // for logs; the same when it is tried again
	Attempt int       // 1 when nothing in it has been tried before
	Oldest  time.Time // when the first of its paths became dirty

	oldest  instant
	changes []sdk.Change
	listed  []*entry // behind changes, in the same order
	moved   []*entry // renamed to below a subtree of listed
	hidden  []*entry // failing paths below a subtree of listed, kept for their history
}

// Changes returns what to send, in the order of the paths: at least one, no path twice, and only those
// with the hint of a rename below others that cover them. It is not to be modified.
func (b *Batch) Changes() []sdk.Change { return b.changes }

// Suspect reports whether a path in it has failed before.
func (b *Batch) Suspect() bool {
	return slices.ContainsFunc(b.listed, func(e *entry) bool { return e.fail != nil })
}

// changeBytes is what a change takes up on the wire beside its paths, at most.
const changeBytes = 16

// bytes is what the change of e takes up on the wire, at most.
func (e *entry) bytes() int {
	n := len(e.path()) + changeBytes
	if e.moved() {
		n += len(e.origin.path())
	}
	return n
}

// Take returns what is due, the longest due first as far as it fits, or nil if nothing is. It is out
// until it is handed to Done or Return; before that Take panics.
func (q *Queue) Take(now time.Time) *Batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.out != nil {
		panic("queue: Take while a batch is out")
	}
	taken := q.popDue(q.instant(now))
	if len(taken) == 0 {
		return nil
	}

	b := &Batch{oldest: never}
	for _, e := range taken {
		s := takenAbove(e)
		if s == nil {
			b.listed = append(b.listed, e)
			continue
		}
		s.first = min(s.first, e.first)
		switch {
		case e.fail != nil:
			b.hidden = append(b.hidden, e)
		case e.moved():
			b.moved = append(b.moved, e)
		}
	}
	for _, e := range b.listed {
		if e.scope != sdk.ScopeSubtree {
			continue
		}
		for _, below := range e.node.below() { // the transfer covers what is not due yet, too
			if below.pos < 0 {
				continue
			}
			e.first = min(e.first, below.first)
			if below.fail != nil {
				b.hidden = append(b.hidden, below)
			}
			q.remove(below)
		}
	}
	slices.SortFunc(b.listed, byPath)
	slices.SortFunc(b.hidden, byPath)
	b.moved = slices.DeleteFunc(b.moved, func(e *entry) bool { return b.from(e) == "" })
	b.changes = make([]sdk.Change, 0, len(b.listed)+len(b.moved))
	for _, e := range slices.Concat(b.listed, b.moved) {
		c := e.change()
		c.From = b.from(e)
		b.changes = append(b.changes, c)
	}
	slices.SortFunc(b.changes, func(a, b sdk.Change) int { return cmp.Compare(a.Path, b.Path) })
	for _, e := range taken {
		b.oldest = min(b.oldest, e.first)
		e.settling = false
		q.detach(e)
	}
	if len(q.due) == 0 && cap(q.due) > 1024 { // maps and slices never shrink
		q.tree, q.due = newTree(), nil
	}
	b.Oldest = q.time(b.oldest)
	if a := q.again; a != nil {
		b.ID, b.Attempt = a.ID, a.Attempt+1
		q.again = nil
	} else {
		q.taken++
		b.ID, b.Attempt = strconv.Itoa(q.taken), 1
		if slices.ContainsFunc(b.listed, func(e *entry) bool { return e.tried || e.fail != nil }) {
			b.Attempt = 2
		}
	}
	q.out = b
	return b
}

func byPath(a, b *entry) int { return cmp.Compare(a.path(), b.path()) }

// popDue unschedules what is due and fits into a batch.
func (q *Queue) popDue(now instant) []*entry {
	var taken, together []*entry
	bytes := 0
	limit := q.cfg.BatchPaths
	if q.width > 0 {
		limit = q.width
	}
	for q.next() <= now && len(taken) < limit {
		// The names of a rename go together, as long as they wait and there is room.
		for together = append(together[:0], q.due[0]); len(together) > 0 && len(taken) < limit; {
			e := together[len(together)-1]
			if e.pos < 0 {
				together = together[:len(together)-1]
				continue
			}
			if s := e.holder(); s != nil { // first, for it stands for e if there is no room
				together = append(together, s)
				continue
			}
			if e.ops&sdk.OpRemove != 0 && len(q.left) > 0 {
				together = append(together, q.left...)
				q.left = nil
				continue
			}
			together = together[:len(together)-1]
			bytes += e.bytes()
			if len(taken) > 0 && bytes > q.cfg.BatchBytes {
				return taken
			}
			heap.Remove(&q.due, e.pos)
			taken = append(taken, e)
			together = e.partners(together)
		}
	}
	return taken
}

// takenAbove returns the topmost subtree above e that is taken as well, nil without one.
func takenAbove(e *entry) *entry {
	var top *entry
	for n := e.node.parent; n != nil; n = n.parent {
		if s := n.entry; s != nil && s.pos < 0 && s.scope == sdk.ScopeSubtree {
			top = s
		}
	}
	return top
}

// Return takes b back: nothing of it was confirmed. It is due at once; the next batch is another try
// of it, together with what came meanwhile.
func (q *Queue) Return(now time.Time, b *Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.putBack(now, b)
	q.again = b
}

// Split takes b back like Return, because something in it may be what fails all of it: the next batch
// is half as large. With each that is confirmed they grow again. A batch of a single change cannot be
// split; what fails there is known.
func (q *Queue) Split(now time.Time, b *Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.width = max(1, len(b.listed)/2)
	q.putBack(now, b)
}

func (q *Queue) putBack(now time.Time, b *Batch) {
	q.end(b)
	before := q.next()
	at := q.instant(now)
	for _, e := range b.listed {
		e.tried = true
	}
	back := slices.Concat(b.listed, b.moved, b.hidden)
	for _, e := range back {
		q.cameBack(e)
	}
	for _, e := range back {
		q.put(e.path(), e, at)
	}
	q.wake(before)
}

// end ends the batch that is out, which must be b.
func (q *Queue) end(b *Batch) {
	if b == nil || b != q.out {
		panic("queue: not the batch that is out")
	}
	q.out = nil
}
