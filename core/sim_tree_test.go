package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// simNode is a file or directory. Whatever is written or set gives it a version that nothing had before.
type simNode struct {
	dir     bool
	version int
}

func (n simNode) String() string {
	if n.dir {
		return fmt.Sprintf("dir %d", n.version)
	}
	return fmt.Sprintf("file %d", n.version)
}

// size returns how large a file is: 2 is large.
func (n simNode) size() int64 {
	if n.version%4 == 1 {
		return 2
	}
	return 1
}

// large reports whether it is a file that a call leaves out.
func (n simNode) large(max uint64) bool { return !n.dir && max > 0 && n.size() > int64(max) }

// simTree is a tree by its paths, the root left out.
type simTree map[string]simNode

// paths returns what is at and below a path, parents first.
func (t simTree) paths(at string) []string {
	return t.those(func(p string) bool { return within(p, at) })
}

// those returns the paths that a function wants, parents first.
func (t simTree) those(want func(path string) bool) (paths []string) {
	for p := range t {
		if want(p) {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return paths
}

// isDir reports whether there is a directory; the root is one.
func (t simTree) isDir(path string) bool { return path == "" || t[path].dir }

func within(path, dir string) bool {
	return sdk.Change{Path: dir, Scope: sdk.ScopeSubtree}.Covers(path)
}

func parentOf(path string) string { return path[:max(0, strings.LastIndexByte(path, '/'))] }

func under(dir, name string) string { return strings.TrimPrefix(dir+"/"+name, "/") }

// simState is what was at a path from a moment on.
type simState struct {
	at   time.Time
	node simNode
	none bool
}

// simSource is the source with all that it has been.
type simSource struct {
	tree    simTree
	history map[string][]simState
	version int
	changed time.Time // last
}

func newSimSource() *simSource {
	return &simSource{tree: simTree{}, history: map[string][]simState{}}
}

// set changes one path; nil removes it.
func (s *simSource) set(path string, n *simNode) {
	now := time.Now()
	state := simState{at: now, none: n == nil}
	if n == nil {
		delete(s.tree, path)
	} else {
		state.node = *n
		s.tree[path] = *n
	}
	s.history[path] = append(s.history[path], state)
	s.changed = now
}

// fresh returns a node that is like no other.
func (s *simSource) fresh(dir bool) *simNode {
	s.version++
	return &simNode{dir, s.version}
}

// was reports whether path was n (or absent, if there is no n) at some time since a moment.
func (s *simSource) was(path string, n simNode, present bool, since time.Time) bool {
	states := s.history[path]
	if !present && (len(states) == 0 || !states[0].at.Before(since)) {
		return true // before its first state
	}
	for i, state := range states {
		over := i+1 < len(states) && states[i+1].at.Before(since)
		if !over && state.none == !present && (!present || state.node == n) {
			return true
		}
	}
	return false
}

// stale names a path at which dest has something that the source has not had since a moment; "" = none.
func (s *simSource) stale(dest simTree, exclude *filter.Filter, deletes bool, since time.Time) string {
	all := map[string]struct{}{}
	for p := range s.history {
		all[p] = struct{}{}
	}
	for p := range dest {
		all[p] = struct{}{}
	}
	for _, p := range slices.Sorted(maps.Keys(all)) {
		n, present := dest[p]
		if exclude.ExcludedMissing(p) || s.was(p, n, present, since) {
			continue
		}
		if !deletes && present && s.was(p, simNode{}, false, since) {
			continue
		}
		there := "nothing"
		if present {
			there = n.String()
		}
		return fmt.Sprintf("%q is %s at the destination, and at the source since %s: %s", p, there, clock(since), s.since(p, since))
	}
	return ""
}

// since lists what path has been since a moment.
func (s *simSource) since(path string, since time.Time) string {
	var out []string
	states := s.history[path]
	for i, state := range states {
		if i+1 < len(states) && states[i+1].at.Before(since) {
			continue
		}
		text := "nothing"
		if !state.none {
			text = state.node.String()
		}
		out = append(out, fmt.Sprintf("%s (%s)", text, clock(state.at)))
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

// simEpoch is when the virtual time begins.
var simEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// clock writes a virtual time.
func clock(t time.Time) string { return t.Sub(simEpoch).String() }
