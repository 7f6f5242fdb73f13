// Package queue is the dirty set of one destination: the paths that may differ there.
//
// A change goes in with Add and stays until a batch that carried it was confirmed with Done. What is
// added while a batch is out is kept beside it, so nothing that happens during a transfer is lost.
//
// When a path is due:
//
//   - A change whose file may still be being written is due Settle after the last such change and
//     never later than MaxDelay after the first. It is one with ScopePath, with OpCreate or OpWrite,
//     and with none of OpClose, OpRemove and OpRename.
//   - A name that something was moved away from, with OpRemove and OpRename alone, waits in the same way:
//     the name that it was moved to is at the destination before, or goes in the same batch. Both wait if the
//     destination can do the rename itself: the next one may involve the same names.
//   - Every other change is due at once, and ends the wait of its path. Only OpAttrib alone, which
//     a copying program causes before it closes its file, leaves a waiting path as it is.
//   - A path that failed is due when its backoff ends, or when a further change to it is.
//
// A pending subtree takes the place of pending paths below it unless they would be due sooner than
// it is (it is in backoff) or are failing themselves, so that each keeps its own history. What was moved
// there since is pending beside it, and they go together. Past a limit paths are collapsed into subtrees.
// Neither ever narrows what is pending.
package queue

import (
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// Config is what a Queue needs to know. The zero value of a field is its default.
type Config struct {
	Settle   time.Duration // quiet time of a file that is being written or was moved away; default 0, no waiting
	MaxDelay time.Duration // the longest such a path waits, even if it is below Settle; default 0

	// Limit is how many paths are remembered, the directories above them included, before some are
	// collapsed into subtrees. Default 20,000: two batches, and some 5 MiB.
	Limit int

	BatchPaths int // paths in a batch at most; default 10,000, a quarter of a second of rsync reading its list
	BatchBytes int // size of a batch on the wire at most; default 1 MiB, the bound of the protocol

	RetryMin time.Duration // backoff of a path after its first failure, doubling; default 5 s
	RetryMax time.Duration // where the doubling ends; default 30 min

	Rand func() float64 // in [0, 1), for the jitter of the backoff; default math/rand/v2
}

// Queue is a dirty set. Its methods may be called concurrently and block only for each other; it has
// no clock, so whoever calls says what time it is.
type Queue struct {
	cfg     Config
	changed chan struct{}

	mu    sync.Mutex // guards all below
	base  time.Time  // the first time seen; what instants count from
	tree  *tree
	due   schedule
	seq   uint64   // entries scheduled so far
	out   *Batch   // being transferred
	again *Batch   // returned; the next batch is another try of it
	taken int      // batches taken so far, tries not counted
	left  []*entry // deferred, and not gone with what is removed since
	width int      // changes in the next batch at most while one is looked for that fails all; 0 = BatchPaths
}

// instant is a point in time, counted from Queue.base: a third of the size of a time.Time.
type instant time.Duration

// never is later than every instant in use.
const never = instant(1<<63 - 1)

// New returns an empty Queue.
func New(cfg Config) *Queue {
	setDefault(&cfg.Limit, 20_000)
	setDefault(&cfg.BatchPaths, 10_000)
	setDefault(&cfg.BatchBytes, 1<<20)
	setDefault(&cfg.RetryMin, 5*time.Second)
	setDefault(&cfg.RetryMax, 30*time.Minute)
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	return &Queue{cfg: cfg, changed: make(chan struct{}, 1), tree: newTree()}
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Add says that changes were seen at now. No batch begins between two of them.
func (q *Queue) Add(now time.Time, changes ...sdk.Change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := q.instant(now)
	before := q.next()
	for _, c := range changes {
		q.add(at, c)
	}
	q.wake(before)
}

func (q *Queue) add(at instant, c sdk.Change) {
	x := &entry{first: at, due: at, scope: c.Scope, ops: c.Ops}
	switch {
	case waits(c):
		x.wait(at, q.cfg)
	case c.Scope == sdk.ScopePath && c.Ops == sdk.OpAttrib:
		if n := q.tree.nearest(c.Path); n.path == c.Path && n.entry != nil && n.entry.settling {
			n.entry.ops |= c.Ops
			return
		}
	}
	x.blurred = x.mayReplace() && q.out.covers(c.Path)
	if c.Scope == sdk.ScopeSubtree {
		q.doubtBelow(c.Path)
	}
	x.origin = q.origin(c, x)
	q.put(c.Path, x, at)
	if x.moved() {
		x.origin.heir = q.tree.nearest(c.Path).entry
	}
}

// waits reports whether more about the path of c is likely to follow at once: its file may still be open
// for writing, or it is the former name of something.
func waits(c sdk.Change) bool {
	written := c.Ops&(sdk.OpCreate|sdk.OpWrite) != 0 && c.Ops&(sdk.OpClose|sdk.OpRemove|sdk.OpRename) == 0
	return c.Scope == sdk.ScopePath && written || c.Ops == movedAway
}

// Hurry makes due at now what waits for its file to be closed, or for a rename to be complete.
func (q *Queue) Hurry(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before, at := q.next(), q.instant(now)
	for _, e := range q.due {
		if e.settling {
			e.due, e.settling = min(e.due, at), false
		}
	}
	heap.Init(&q.due)
	q.wake(before)
}

// Next tells from when on Take returns a batch, which may be in the past; false means that nothing is
// pending. See Changed.
func (q *Queue) Next() (time.Time, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.due) == 0 {
		return time.Time{}, false
	}
	return q.time(q.next()), true
}

// Everything reports whether the whole root is in doubt and pending.
func (q *Queue) Everything() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.tree.root.entry
	return e != nil && e.scope == sdk.ScopeSubtree
}

// Changed receives a value after Next may have become earlier, or true. It is never closed and meant
// for one receiver, the one that takes the batches.
func (q *Queue) Changed() <-chan struct{} { return q.changed }

// Empty reports whether everything that was ever added is confirmed.
func (q *Queue) Empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.due) == 0 && q.out == nil
}

// Stats counts what is not confirmed.
type Stats struct {
	Pending int // changes that wait
	Out     int // changes in the batch that is out
	Failing int // paths among them whose last try failed
	// Oldest is when the oldest of them became dirty; zero when there are none. Whatever was added
	// before is confirmed.
	Oldest time.Time
}

// Stats looks at every change that is not confirmed.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Stats{Pending: len(q.due)}
	if q.out != nil {
		s.Out = len(q.out.listed)
	}
	oldest := never
	for e := range q.all {
		oldest = min(oldest, e.first)
		if e.fail != nil {
			s.Failing++
		}
	}
	if oldest != never {
		s.Oldest = q.time(oldest)
	}
	return s
}

// Unconfirmed returns every change that is not confirmed, in no order.
func (q *Queue) Unconfirmed() []sdk.Change {
	q.mu.Lock()
	defer q.mu.Unlock()
	var changes []sdk.Change
	for e := range q.all {
		changes = append(changes, e.change())
	}
	return changes
}

// all yields every entry that is not confirmed, pending or out.
func (q *Queue) all(yield func(*entry) bool) {
	lists := [][]*entry{q.due}
	if q.out != nil {
		lists = append(lists, q.out.listed, q.out.hidden)
	}
	for _, list := range lists {
		for _, e := range list {
			if !yield(e) {
				return
			}
		}
	}
}

// put makes x pending at path: as an entry of its own, merged with the one there is, or absorbed by
// a subtree at or above it. What stands for several keeps the earliest of their times.
func (q *Queue) put(path string, x *entry, now instant) {
	n := q.tree.nearest(path)
	for a := n; a != nil; a = a.parent {
		s := a.entry
		switch {
		case s == nil || !s.covers(x, now):
		case x.moved() && a.path != path:
			q.hold(s, x)
		default:
			if n.path == path && n.entry != nil {
				n.entry.follow(x)
				n.entry.happened(x.ops)
			}
			q.absorb(s, x)
			return
		}
	}
	n = q.tree.grow(n, path)
	if e := n.entry; e != nil {
		e.merge(x, now, instant(q.cfg.MaxDelay))
		heap.Fix(&q.due, e.pos)
		x = e
	} else {
		q.attach(n, x)
	}
	if x.scope == sdk.ScopeSubtree && n.child != nil {
		for _, e := range n.below() {
			if x.covers(e, now) && !e.moved() {
				q.absorb(x, e)
				q.remove(e)
			}
		}
	}
	q.collapse()
}

// absorb lets the subtree s stand for e as well.
func (q *Queue) absorb(s, e *entry) {
	s.first = min(s.first, e.first)
	if e.due < s.due {
		s.due = e.due
		heap.Fix(&q.due, s.pos)
	}
}

// attach makes e the entry of n and schedules it. What comes back keeps its turn: it is looked into before all else.
func (q *Queue) attach(n *node, e *entry) {
	n.entry = e
	e.node = n
	if e.seq == 0 {
		q.seq++
		e.seq = q.seq
	}
	heap.Push(&q.due, e)
}

// remove takes e out of the schedule and the tree.
func (q *Queue) remove(e *entry) {
	heap.Remove(&q.due, e.pos)
	q.detach(e)
}

// detach takes e, which is not scheduled any more, out of the tree.
func (q *Queue) detach(e *entry) {
	e.node.entry = nil
	q.tree.prune(e.node)
}

// next is when the next batch is due.
func (q *Queue) next() instant {
	if len(q.due) == 0 {
		return never
	}
	return q.due[0].due
}

// wake notifies the receiver of Changed if the next batch is due earlier than before.
func (q *Queue) wake(before instant) {
	if q.next() < before {
		select {
		case q.changed <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
}

func (q *Queue) instant(now time.Time) instant {
	if q.base.IsZero() {
		q.base = now
	}
	return instant(now.Sub(q.base))
}

func (q *Queue) time(at instant) time.Time { return q.base.Add(time.Duration(at)) }
