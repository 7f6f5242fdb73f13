package queue

import (
	"iter"
	"strings"
)

// tree holds the pending paths and the directories above them. It finds a node by its path in one map,
// what is above a node by its parents, and what is below by its children.
type tree struct {
	root  *node
	nodes map[string]*node // without the root
}

// node is a path that is pending or has pending paths below it.
type node struct {
	path       string
	parent     *node // nil for the root
	child      *node // one of its children
	next, prev *node // its siblings
	size       int   // nodes at and below it
	entry      *entry
}

func newTree() *tree {
	return &tree{root: &node{size: 1}, nodes: map[string]*node{}}
}

// len is the number of nodes below the root.
func (t *tree) len() int { return len(t.nodes) }

// parent returns the path of the directory that holds path, which is not the root.
func parent(path string) string {
	return path[:max(0, strings.LastIndexByte(path, '/'))]
}

// upwards yields path and the directories above it, the root last.
func upwards(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for yield(path) && path != "" {
			path = parent(path)
		}
	}
}

// nearest returns the node of path or else of the lowest directory above it that there is.
func (t *tree) nearest(path string) *node {
	for path != "" {
		if n, ok := t.nodes[path]; ok {
			return n
		}
		path = parent(path)
	}
	return t.root
}

// grow returns the node of path, made with all that are missing below near, the nearest.
func (t *tree) grow(near *node, path string) *node {
	if near.path == path {
		return near
	}
	leaf := &node{path: path, size: 1}
	t.nodes[path] = leaf
	top := leaf
	for p := parent(path); p != near.path; p = parent(p) {
		n := &node{path: p, size: 1 + top.size}
		t.nodes[p] = n
		n.adopt(top)
		top = n
	}
	near.adopt(top)
	for n := near; n != nil; n = n.parent {
		n.size += top.size
	}
	return leaf
}

// prune removes n and the directories above it as far as they are not needed any more.
func (t *tree) prune(n *node) {
	pruned := 0
	for n.entry == nil && n.child == nil && n != t.root {
		p := n.parent
		p.orphan(n)
		delete(t.nodes, n.path)
		n = p
		pruned++
	}
	for ; n != nil; n = n.parent {
		n.size -= pruned
	}
}

func (n *node) adopt(c *node) {
	c.parent = n
	c.next = n.child
	if c.next != nil {
		c.next.prev = c
	}
	n.child = c
}

func (n *node) orphan(c *node) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		n.child = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.parent, c.next, c.prev = nil, nil, nil
}

// below returns the entries below n.
func (n *node) below() []*entry {
	var entries []*entry
	for c := n.child; c != nil; {
		if c.entry != nil {
			entries = append(entries, c.entry)
		}
		if c.child != nil {
			c = c.child
			continue
		}
		for c != n && c.next == nil {
			c = c.parent
		}
		if c == n {
			break
		}
		c = c.next
	}
	return entries
}

// heaviest returns the child of n with the most nodes, nil without children, and how many children
// there are.
func (n *node) heaviest() (h *node, children int) {
	for c := n.child; c != nil; c = c.next {
		children++
		if h == nil || c.size > h.size {
			h = c
		}
	}
	return h, children
}
