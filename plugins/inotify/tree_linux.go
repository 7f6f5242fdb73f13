package inotify

import "strings"

// noWatch is the descriptor of a directory that could not be watched.
const noWatch = -1

// node is one directory at one place. A million of them is nothing unusual, so it is small: no path,
// no map of its own.
type node struct {
	parent     *node // nil for the root and for what is detached
	name       string
	first      *node // of the children
	prev, next *node // siblings
	alias      *node // next node with the same descriptor: the same directory at another mount
	wd         int32 // or noWatch
	mount      bool  // something is mounted here
}

type place struct {
	parent *node
	name   string
}

// tree is what is known about the directories below a root. A node that has lost its place keeps the
// subtree it had: a directory takes everything below it along wherever it goes, so that finding it
// again is one step.
type tree struct {
	root     *node
	watches  map[int32]*node // by descriptor
	children map[place]*node
	mounts   map[*node]struct{} // all that have mount set
}

func newTree(wd int32) *tree {
	t := &tree{
		root:     &node{wd: wd},
		watches:  make(map[int32]*node),
		children: make(map[place]*node),
		mounts:   make(map[*node]struct{}),
	}
	t.watches[wd] = t.root
	return t
}

// child returns the directory that is known under that name, or nil.
func (t *tree) child(parent *node, name string) *node { return t.children[place{parent, name}] }

// new returns a detached node.
func (t *tree) new(wd int32) *node {
	n := &node{wd: wd}
	if wd != noWatch {
		n.alias = t.watches[wd]
		t.watches[wd] = n
	}
	return n
}

// attach gives the detached n a place, which must be free.
func (t *tree) attach(n, parent *node, name string) {
	n.parent, n.name = parent, name
	n.next = parent.first
	if n.next != nil {
		n.next.prev = n
	}
	parent.first = n
	t.children[place{parent, name}] = n
}

// detach takes n, with all below it, away from its place, if it has one.
func (t *tree) detach(n *node) {
	if n.parent == nil {
		return
	}
	delete(t.children, place{n.parent, n.name})
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		n.parent.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	}
	n.parent, n.prev, n.next = nil, nil, nil
}

// forget takes the descriptor of n away and reports whether no other node has it.
func (t *tree) forget(n *node) bool {
	delete(t.mounts, n)
	wd := n.wd
	if wd == noWatch {
		return false
	}
	for p := t.watches[wd]; ; p = p.alias {
		if p == n {
			t.watches[wd] = n.alias
			break
		}
		if p.alias == n {
			p.alias = n.alias
			break
		}
	}
	n.wd, n.alias = noWatch, nil
	if t.watches[wd] != nil {
		return false
	}
	delete(t.watches, wd)
	return true
}

// top returns the root, or the detached node that n lies below.
func (t *tree) top(n *node) *node {
	for n.parent != nil {
		n = n.parent
	}
	return n
}

// attached reports whether n has a path.
func (t *tree) attached(n *node) bool { return t.top(n) == t.root }

// mountOf returns the node at which the file system that n is on is mounted, as seen from n.
func (t *tree) mountOf(n *node) *node {
	for n.parent != nil && !n.mount {
		n = n.parent
	}
	return n
}

// names returns the names that lead from the root to n; ok is false when n is detached.
func (t *tree) names(n *node) (names []string, ok bool) {
	depth := 0
	p := n
	for ; p.parent != nil; p = p.parent {
		depth++
	}
	if p != t.root {
		return nil, false
	}
	names = make([]string, depth)
	for ; n.parent != nil; n = n.parent {
		depth--
		names[depth] = n.name
	}
	return names, true
}

// path returns the path of n relative to the root; ok is false when n is detached.
func (t *tree) path(n *node) (path string, ok bool) {
	names, ok := t.names(n)
	return strings.Join(names, "/"), ok
}

// find returns the directory at path, or nil.
func (t *tree) find(path string) *node {
	n := t.root
	if path == "" {
		return n
	}
	for name := range strings.SplitSeq(path, "/") {
		if n = t.child(n, name); n == nil {
			return nil
		}
	}
	return n
}

// arrival is what is new about a directory that was looked at.
type arrival uint8

const (
	absent    arrival = iota // no directory is there, or none that is to be watched
	kept                     // it is the one that is known to be there
	moved                    // it was known elsewhere
	added                    // it was not known, or what is below it is not
	unwatched                // it cannot be watched
)

// settle records that parent/name is the directory with descriptor wd. What was known to be there is
// displaced (nil if nothing was). It reports false, and changes nothing, when that would put a
// directory below itself: then what is known about a directory on the way to parent is wrong.
func (t *tree) settle(parent *node, name string, wd int32, mount bool) (n *node, how arrival, displaced *node, ok bool) {
	old := t.child(parent, name)
	if old != nil && old.wd == wd && old.mount == mount {
		return old, kept, nil, true
	}
	for n = t.watches[wd]; n != nil; n = n.alias {
		// A mount has only one place for a directory, so one that is known on the same mount has moved.
		if !t.attached(n) || !mount && !n.mount && t.mountOf(n) == t.mountOf(parent) {
			break
		}
	}
	if n == nil {
		n, how = t.new(wd), added
	} else {
		how = moved
		for p := parent; p != nil; p = p.parent {
			if p == n {
				return nil, absent, nil, false
			}
		}
	}
	if old != nil {
		t.detach(old)
	}
	t.detach(n)
	if n.mount = mount; mount {
		t.mounts[n] = struct{}{}
	} else {
		delete(t.mounts, n)
	}
	t.attach(n, parent, name)
	return n, how, old, true
}

// nodes returns all nodes that are watched.
func (t *tree) nodes() []*node {
	all := make([]*node, 0, len(t.watches))
	for _, n := range t.watches {
		for ; n != nil; n = n.alias {
			all = append(all, n)
		}
	}
	return all
}

// scatter takes every node away from its place and forgets those without a watch.
func (t *tree) scatter() {
	clear(t.children)
	clear(t.mounts)
	for _, n := range t.nodes() {
		n.parent, n.first, n.prev, n.next = nil, nil, nil, nil
		n.mount = false
	}
}
