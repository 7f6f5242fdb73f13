package sdk

import (
	"sync"

	"github.com/filewatch/filewatch/sdk/wire"
)

// Bounds of what waits to be sent to the core; past them the whole root is in doubt, which costs the
// core one comparison and the plugin no memory.
const (
	maxPending      = 1 << 16
	maxPendingBytes = 16 << 20
)

// reports is the Reporter of one Watch stream: it merges what the core has not taken yet.
type reports struct {
	wake chan struct{} // capacity 1: there may be something to send

	mu        sync.Mutex // guards all below
	ready     bool
	pending   []Change
	index     map[string]int // path → its place in pending
	bytes     int            // of the paths in pending
	unwatched *unwatched     // not sent yet
	reached   []reached      // barriers, in the order they were reached
}

// reached is a barrier that the watcher has reached.
type reached struct {
	id    uint64
	after int // how many of the pending changes have to be sent before
}

type unwatched struct {
	paths  []string
	reason string
}

var _ Reporter = (*reports)(nil)

func newReports() *reports {
	return &reports{wake: make(chan struct{}, 1), index: make(map[string]int)}
}

func (r *reports) Ready() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ready = true
	r.signal()
}

func (r *reports) Change(c Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ready {
		return
	}
	if len(r.pending) > 0 && r.pending[0].Path == "" && r.pending[0].Scope == ScopeSubtree {
		return // the whole root is in doubt already
	}
	if i, ok := r.index[c.Path]; ok && c.From == "" {
		r.pending[i].merge(c)
	} else {
		if c.From != "" {
			// What happens there from now on is not merged with what happened before the rename.
			delete(r.index, c.From)
		}
		r.index[c.Path] = len(r.pending)
		r.pending = append(r.pending, c)
		r.bytes += len(c.Path) + len(c.From)
	}
	if c.Path == "" && c.Scope == ScopeSubtree || len(r.pending) > maxPending || r.bytes > maxPendingBytes {
		clear(r.index)
		r.index[""] = 0
		r.pending = append(r.pending[:0:0], Change{Scope: ScopeSubtree, Ops: c.Ops})
		r.bytes = 0
		for i := range r.reached {
			r.reached[i].after = min(r.reached[i].after, 1)
		}
	}
	r.signal()
}

// merge adds what happened later at the path of c.
func (c *Change) merge(later Change) {
	c.Scope = max(c.Scope, later.Scope)
	if later.Ops&OpCreate != 0 || later.Ops == 0 {
		c.From = "" // something else may have taken the place of what was moved here
	}
	if c.Ops == 0 || later.Ops == 0 {
		c.Ops = 0 // nobody knows what has happened, then
		return
	}
	c.Ops |= later.Ops
}

func (r *reports) Unwatched(paths []string, reason string) {
	if len(paths) > wire.MaxUnwatched {
		paths = []string{""}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unwatched = &unwatched{paths, reason}
	r.signal()
}

// reach notes that the watcher has reached the barrier.
func (r *reports) reach(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reached = append(r.reached, reached{id, len(r.pending)})
	r.signal()
}

// takeReached returns the barriers that have nothing left to wait for, once. What is not watched has to
// be known before.
func (r *reports) takeReached() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []uint64
	for len(r.reached) > 0 && r.reached[0].after == 0 && r.unwatched == nil {
		ids = append(ids, r.reached[0].id)
		r.reached = r.reached[1:]
	}
	return ids
}

func (r *reports) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// isReady reports whether Ready was called.
func (r *reports) isReady() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// takeUnwatched returns what Unwatched was last told, once.
func (r *reports) takeUnwatched() *unwatched {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.unwatched
	r.unwatched = nil
	return u
}

// takeBatch returns the oldest changes, as many as one message may hold.
func (r *reports) takeBatch() []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, size := 0, 0
	for n < len(r.pending) {
		size += len(r.pending[n].Path) + len(r.pending[n].From) + changeOverhead
		if size > wire.MaxRequest && n > 0 {
			break
		}
		n++
	}
	batch := r.pending[:n:n]
	r.pending = append([]Change(nil), r.pending[n:]...)
	for i := range r.reached {
		r.reached[i].after = max(r.reached[i].after-n, 0)
	}
	clear(r.index)
	r.bytes = 0
	for i, c := range r.pending {
		r.index[c.Path] = i
		r.bytes += len(c.Path) + len(c.From)
	}
	return batch
}

// changeOverhead is the size of a Change message beside its paths: tags, lengths and two small enums.
const changeOverhead = 16
