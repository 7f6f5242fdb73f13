package queue

import (
	"slices"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// Done confirms b except for what the failed paths leave in doubt, which is pending again:
//
//   - A change whose path failed, or lies below one that failed, as it was.
//   - A path that failed and has no such change, with all below it. If more of them than fit into a
//     batch failed below one change, that change as it was.
//   - The directories above a path that failed as far as b changed them, as paths: one that is to go
//     stays as long as something in it does.
//
// All of it waits for the backoff of what failed, which each path has for itself.
func (q *Queue) Done(now time.Time, b *Batch, failed []sdk.PathError) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end(b)
	if q.width *= 2; q.width >= q.cfg.BatchPaths {
		q.width = 0
	}
	if len(failed) == 0 {
		return
	}
	before := q.next()
	r := newRetry(q, b, failed, q.instant(now))
	for _, e := range b.listed {
		r.change(e)
	}
	for _, e := range b.hidden {
		if _, ok := r.whole[r.owner(e.path())]; ok {
			e.blurred = true
			q.put(e.path(), e, r.now)
		}
	}
	for _, f := range failed {
		r.directories(f.Path, r.path(f))
	}
	q.wake(before)
}

// Defer makes what b has left out, paths and all below them, pending again before b is Done: it waits as what may
// be the new name of a rename. What is removed goes no sooner: it may be the former one.
func (q *Queue) Defer(now time.Time, b *Batch, paths []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b == nil || b != q.out {
		panic("queue: not the batch that is out")
	}
	before, at := q.next(), q.instant(now)
	q.left = slices.DeleteFunc(q.left, func(e *entry) bool { return e.pos < 0 }) // mostly they have gone by now
	for _, p := range paths {
		x := &entry{first: b.oldest, scope: sdk.ScopeSubtree, blurred: true}
		x.wait(at, q.cfg)
		x.origin = x // what is known about it by now stays true
		q.put(p, x, at)
		if e := q.tree.nearest(p).entry; e != nil { // or the whole of a directory above is pending
			q.left = append(q.left, e)
		}
	}
	q.wake(before)
}

// retry works out what is to be done about the failed paths of a batch.
type retry struct {
	q      *Queue
	b      *Batch
	now    instant
	jitter float64           // one for all, so that what failed together is tried together
	text   map[string]string // of what failed, by path
	listed map[string]*entry // b.listed, by path
	hidden map[string]*entry // b.hidden, by path

	many  map[*entry]string  // subtree changes below which too many paths failed, and a reason
	whole map[*entry]instant // changes that are pending again as they were: when they are due
	cause map[string]instant // failed paths at or above one of whole: when that is due
}

func newRetry(q *Queue, b *Batch, failed []sdk.PathError, now instant) *retry {
	r := &retry{
		q: q, b: b, now: now, jitter: q.cfg.Rand(),
		text:   make(map[string]string, len(failed)),
		listed: make(map[string]*entry, len(b.listed)),
		hidden: make(map[string]*entry, len(b.hidden)),
		many:   map[*entry]string{},
		whole:  map[*entry]instant{},
		cause:  map[string]instant{},
	}
	for _, e := range b.listed {
		r.listed[e.path()] = e
	}
	for _, e := range b.hidden {
		r.hidden[e.path()] = e
	}
	below := map[*entry]int{}
	for _, f := range failed {
		r.text[f.Path] = f.Text
		if e := r.owner(f.Path); e != nil {
			below[e]++
			if below[e] > q.cfg.BatchPaths {
				r.many[e] = f.Text
			}
		}
	}
	return r
}

// owner returns the change of the batch at path or else the nearest above it, nil without one.
func (r *retry) owner(path string) *entry {
	for p := range upwards(path) {
		if e, ok := r.listed[p]; ok {
			return e
		}
	}
	return nil
}

// change makes e pending again if it failed as a whole.
func (r *retry) change(e *entry) {
	text, failed := r.many[e]
	var causes []string
	for p := range upwards(e.path()) {
		if t, ok := r.text[p]; ok {
			if !failed {
				text, failed = t, true
			}
			causes = append(causes, p)
		}
	}
	if !failed {
		return
	}
	due := r.fail(e.path(), &entry{first: e.first, scope: e.scope, ops: e.ops, fail: e.fail, blurred: true}, text)
	r.whole[e] = due
	for _, p := range causes {
		if d, ok := r.cause[p]; !ok || due < d {
			r.cause[p] = due
		}
	}
}

// path makes f pending again unless a change already is in its place, and returns when it is due.
func (r *retry) path(f sdk.PathError) instant {
	if due, ok := r.cause[f.Path]; ok {
		return due
	}
	x := &entry{first: r.b.oldest, scope: sdk.ScopeSubtree, blurred: true}
	if e := r.owner(f.Path); e != nil {
		if due, ok := r.whole[e]; ok && e.scope == sdk.ScopeSubtree {
			return due
		}
		x.first = e.first
	}
	if h, ok := r.hidden[f.Path]; ok {
		x.fail = h.fail
	}
	return r.fail(f.Path, x, f.Text)
}

// fail makes x pending at path with one more failure, and returns when it is due.
func (r *retry) fail(path string, x *entry, text string) instant {
	x.fail = x.fail.again(text, r.now)
	due := r.now + r.q.backoff(x.fail.attempts, r.jitter)
	x.due = due
	r.q.put(path, x, r.now)
	return due
}

// directories makes those above path pending that the batch changed and that are not so already.
func (r *retry) directories(path string, due instant) {
	for path != "" {
		path = parent(path)
		e := r.owner(path)
		if e == nil {
			return
		}
		if _, ok := r.whole[e]; !ok && (e.scope == sdk.ScopeSubtree || e.path() == path) {
			r.q.put(path, &entry{first: e.first, due: due, blurred: true}, r.now)
		}
	}
}
