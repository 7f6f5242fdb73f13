package queue

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/filewatch/filewatch/sdk"
)

// The destination can do a rename by itself if it is told what it has under the former name. What it has
// there is what was there when that name became dirty. So an entry knows whose that is, through renames in
// any order, as long as nothing else may have happened that nobody understands; and the hint of a batch holds
// only for former names that are in the same batch, because a batch of their own would end what is known about
// them. A hint may be lost at any time: it costs a transfer.
//
// A directory that is new is a subtree that is pending, and stands for all that is in it. What is moved there keeps
// its own entry below all the same, for the hint; the subtree waits for it, and its batch has both. Another change of
// the subtree ends what is known about what is in it.

// movedAway is what is told of the former name of a rename.
const movedAway = sdk.OpRemove | sdk.OpRename

// origin returns the origin of x, which is about to be put at the path of c.
func (q *Queue) origin(c sdk.Change, x *entry) *entry {
	switch {
	case c.From == "" || c.Ops&sdk.OpCreate == 0:
		if x.mayReplace() && c.Ops != movedAway {
			return nil
		}
		return x // of what has left, it is told next where it went, whatever may be here by now
	case c.From == c.Path:
		return nil
	}
	x.came = c.From
	f := q.tree.nearest(c.From)
	if f.path != c.From || f.entry == nil {
		return nil
	}
	from := f.entry
	if n := q.tree.nearest(c.Path); from.left == c.Path && n.path == c.Path && n.entry != nil && n.entry.came == c.From {
		x.wait(x.due, q.cfg)
		return n.entry.origin // told again
	}
	from.left = c.Path
	var origin *entry
	if from.came != c.Path { // of an exchange, the second half looks like the way back
		origin, from.origin = from.origin, nil
	}
	switch {
	case origin != nil: // both wait for what may be moved to the former name next, or further on
		x.wait(x.due, q.cfg)
		from.wait(x.first, q.cfg)
		heap.Fix(&q.due, from.pos)
	case from.settling: // nothing more to wait for
		from.settling = false
		from.due = min(from.due, x.due)
		heap.Fix(&q.due, from.pos)
	}
	return origin
}

// mayReplace reports whether something else may be at the path of e than before.
func (e *entry) mayReplace() bool {
	return e.scope == sdk.ScopeSubtree || e.ops == 0 || e.ops&sdk.OpCreate != 0
}

// follow takes over from x, a change of the same path, what is here now.
func (e *entry) follow(x *entry) {
	if x.origin != x {
		e.origin, e.came, e.left = x.origin, x.came, ""
	}
	e.blurred = e.blurred || x.blurred
}

// covers reports whether b, which may be nil, has a change of path: the transfer may see what comes there now.
func (b *Batch) covers(path string) bool {
	if b == nil {
		return false
	}
	for p := range upwards(path) {
		i, ok := slices.BinarySearchFunc(b.listed, p, func(e *entry, p string) int { return cmp.Compare(e.path(), p) })
		if ok && (p == path || b.listed[i].scope == sdk.ScopeSubtree) {
			return true
		}
	}
	return false
}

// moved reports whether what is at the path of e is known to have been elsewhere.
func (e *entry) moved() bool { return e.origin != nil && e.origin != e }

// hold has the subtree s, which is not out, wait as x does, which was moved to somewhere below it: more may be
// moved there at once.
func (q *Queue) hold(s, x *entry) {
	s.first = min(s.first, x.first)
	if due := min(x.due, s.first+instant(q.cfg.MaxDelay)); due > s.due && !s.settling {
		s.due, s.from, s.settling = due, s.first, true
		heap.Fix(&q.due, s.pos)
	}
}

// holder returns the topmost subtree that waits and stands for e, which was moved to below it; nil without one.
func (e *entry) holder() *entry {
	if e.fail != nil {
		return nil
	}
	var top *entry
	for n := e.node.parent; n != nil; n = n.parent {
		if s := n.entry; s != nil && s.pos >= 0 && s.scope == sdk.ScopeSubtree && s.fail == nil {
			top = s
		}
	}
	return top
}

// doubtBelow takes note that something else may be below path than what was moved there.
func (q *Queue) doubtBelow(path string) {
	if n := q.tree.nearest(path); n.path == path && n.child != nil {
		for _, e := range n.below() {
			if e.moved() {
				e.origin = nil
			}
		}
	}
}

// partners appends the entries that wait and should be in the same batch as e.
func (e *entry) partners(list []*entry) []*entry {
	if o := e.origin; e.moved() && o.settling && o.pos >= 0 {
		list = append(list, o)
	}
	if h := e.heir; h != nil && h.origin == e && h.settling && h.pos >= 0 {
		list = append(list, h)
	}
	// Of a directory that is removed, what was moved out of it is not to go before.
	takes, removed := e.scope == sdk.ScopeSubtree, e.ops&sdk.OpRemove != 0
	if e.node.child != nil && (takes || removed) {
		for _, below := range e.node.below() {
			if below.pos >= 0 && (takes && below.moved() || removed && below.settling) {
				list = append(list, below)
			}
		}
	}
	return list
}

// from returns the name under which the destination has what is at the path of e, when b has come: "" if that
// is the same, or not known.
func (b *Batch) from(e *entry) string {
	o := e.origin
	if !e.moved() || o.blurred {
		return ""
	}
	if i, ok := slices.BinarySearchFunc(b.listed, o, byPath); !ok || b.listed[i] != o {
		return ""
	}
	for n := o.node.parent; n != nil; n = n.parent {
		if s := n.entry; s != nil && s.scope == sdk.ScopeSubtree {
			return "" // it is in doubt, but later
		}
	}
	return o.path()
}

// cameBack takes note that e is about to be put back after a try that may have done anything of it, or nothing.
func (q *Queue) cameBack(e *entry) {
	e.blurred = e.blurred || e.mayReplace()
	n := q.tree.nearest(e.path())
	if n.path == e.path() && n.entry != nil && n.entry.origin != n.entry {
		e.origin = e // what has happened since counts
		return
	}
	for ; n != nil && e.moved(); n = n.parent {
		if s := n.entry; s != nil && s.scope == sdk.ScopeSubtree {
			e.origin = nil // it may be another directory since
		}
	}
}
