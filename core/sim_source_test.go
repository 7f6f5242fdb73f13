package core

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/filewatch/filewatch/sdk"
)

// The names of files and directories are apart where something must not change its kind.
var (
	simFiles = []string{"f", "g", "h", "x.tmp"}
	simDirs  = []string{"d", "e", "k"}
)

// seen tells the watchers of a change. w is locked.
func (w *simWorld) seen(path string, scope sdk.Scope, ops sdk.Op) {
	w.told(sdk.Change{Path: path, Scope: scope, Ops: ops})
}

func (w *simWorld) told(c sdk.Change) {
	for _, s := range w.streams {
		s.hint(c)
	}
}

// put makes or replaces what is at a path. w is locked.
func (w *simWorld) put(path string, dir bool) { w.source.set(path, w.source.fresh(dir)) }

// remove takes away what is at and below a path. w is locked.
func (w *simWorld) remove(path string, silent bool) {
	paths := w.source.tree.paths(path)
	slices.Reverse(paths)
	for _, p := range paths {
		w.source.set(p, nil)
		if !silent {
			w.seen(p, sdk.ScopePath, sdk.OpRemove)
		}
	}
}

// pinned reports whether a path is, or holds, what something is mounted over. w is locked.
func (w *simWorld) pinned(path string) bool {
	return w.over != "" && (within(w.over, path) || within(path, w.over))
}

// pick returns a random path of one kind, "" when there is none but the root. w is locked.
func (w *simWorld) pick(rng *rand.Rand, dir bool) string {
	all := w.source.tree.those(func(p string) bool { return w.source.tree[p].dir == dir && !w.pinned(p) })
	if dir && rng.IntN(len(all)+2) < 2 || len(all) == 0 {
		return ""
	}
	return all[rng.IntN(len(all))]
}

// somewhere returns a path for something new. w is locked.
func (w *simWorld) somewhere(rng *rand.Rand, dir bool) string {
	in := w.pick(rng, true)
	for len(in) > 6 {
		in = parentOf(in)
	}
	names := simFiles
	if dir {
		names = simDirs
	} else if rng.IntN(4) == 0 {
		return under(in, fmt.Sprintf("n%d", rng.IntN(20)))
	}
	return under(in, names[rng.IntN(len(names))])
}

const settled = sdk.OpCreate | sdk.OpWrite | sdk.OpClose

// mutate changes the source as programs do, and returns what it did; silent is what happens where no
// watcher is. w is locked.
func (w *simWorld) mutate(rng *rand.Rand, silent bool) string {
	seen := w.seen
	if silent {
		seen = func(string, sdk.Scope, sdk.Op) {}
	}
	tree := w.source.tree
	switch n := rng.IntN(100); {
	case n < 25: // a file is made, or written anew
		p := w.somewhere(rng, false)
		if tree[p].dir {
			break
		}
		_, was := tree[p]
		w.put(p, false)
		switch {
		case was:
			seen(p, sdk.ScopePath, sdk.OpWrite)
		default:
			seen(p, sdk.ScopePath, sdk.OpCreate|sdk.OpWrite)
		}
		if rng.IntN(2) == 0 {
			seen(p, sdk.ScopePath, sdk.OpClose)
		}
		return "write " + p
	case n < 40:
		if p := w.pick(rng, false); p != "" {
			w.put(p, false)
			op := sdk.OpWrite
			if rng.IntN(3) == 0 {
				op = sdk.OpAttrib
			}
			seen(p, sdk.ScopePath, op)
			return "write " + p
		}
	case n < 52:
		if p := w.pick(rng, false); p != "" {
			w.remove(p, silent)
			return "remove " + p
		}
	case n < 62: // with something in it before anybody can watch it
		p := w.somewhere(rng, true)
		if _, ok := tree[p]; ok {
			break
		}
		w.put(p, true)
		seen(p, sdk.ScopeSubtree, sdk.OpCreate|sdk.OpClose)
		for i := range rng.IntN(4) {
			w.put(under(p, simFiles[i]), false)
			if rng.IntN(2) == 0 {
				seen(under(p, simFiles[i]), sdk.ScopePath, settled)
			}
		}
		text := "mkdir " + p
		for range rng.IntN(3) {
			dir := rng.IntN(2) == 0
			names := simFiles
			if dir {
				names = simDirs
			}
			from, to := w.pick(rng, dir), under(p, names[rng.IntN(len(names))])
			if _, ok := tree[to]; ok || from == "" || within(p, from) {
				continue
			}
			w.move(from, to, silent)
			text += fmt.Sprintf(", rename %s → %s", from, to)
		}
		return text
	case n < 65:
		if p := w.pick(rng, true); p != "" {
			w.put(p, true)
			seen(p, sdk.ScopePath, sdk.OpAttrib)
			return "chmod " + p
		}
	case n < 72:
		if p := w.pick(rng, true); p != "" {
			w.remove(p, silent)
			return "rm -r " + p
		}
	case n < 88:
		dir := rng.IntN(2) == 0
		from := w.pick(rng, dir)
		to := w.somewhere(rng, dir)
		if from == "" || within(to, from) || within(from, to) {
			break
		}
		if old, ok := tree[to]; ok && (dir || old.dir) {
			break
		}
		w.move(from, to, silent)
		return fmt.Sprintf("rename %s → %s", from, to)
	case n < 93: // a file takes the place of a directory, or the other way round
		dir := rng.IntN(2) == 0
		p := w.pick(rng, dir)
		if p == "" || !w.plan.Delete || within(p, w.over) && w.over != "" {
			break
		}
		w.remove(p, silent)
		w.put(p, !dir)
		if dir {
			seen(p, sdk.ScopePath, settled)
			return "file for directory " + p
		}
		seen(p, sdk.ScopeSubtree, sdk.OpCreate|sdk.OpClose)
		w.put(under(p, "f"), false)
		return "directory for file " + p
	case n < 97: // two files change places
		a, b := w.pick(rng, false), w.pick(rng, false)
		if a == "" || a == b {
			break
		}
		na, nb := tree[a], tree[b]
		w.source.set(a, &nb)
		w.source.set(b, &na)
		for _, p := range []string{a, b} {
			seen(p, sdk.ScopePath, sdk.OpRemove|sdk.OpRename)
			seen(p, sdk.ScopePath, sdk.OpCreate|sdk.OpRename)
		}
		return fmt.Sprintf("exchange %s and %s", a, b)
	default:
		in := w.pick(rng, true)
		for i := range rng.IntN(20) {
			p := under(in, fmt.Sprintf("n%d", i))
			if tree[p].dir {
				continue
			}
			w.put(p, false)
			seen(p, sdk.ScopePath, settled)
		}
		return "burst in " + in
	}
	return ""
}

// move renames a file or directory and tells of it. w is locked.
func (w *simWorld) move(from, to string, silent bool) {
	w.rename(from, to)
	if silent {
		return
	}
	w.seen(from, sdk.ScopePath, sdk.OpRemove|sdk.OpRename)
	c := sdk.Change{Path: to, Ops: sdk.OpCreate | sdk.OpRename, From: from}
	if w.source.tree[to].dir {
		c.Scope = sdk.ScopeSubtree
		c.Ops |= sdk.OpClose
	}
	w.told(c)
}

// rename moves what is at a path, over what is at the other. w is locked.
func (w *simWorld) rename(from, to string) {
	tree := w.source.tree
	for _, p := range tree.paths(from) {
		n := tree[p]
		w.source.set(to+p[len(from):], &n)
	}
	for _, p := range tree.paths(from) {
		w.source.set(p, nil)
	}
}

// wipe empties the source. w is locked.
func (w *simWorld) wipe(silent bool) {
	for _, p := range w.source.tree.those(func(p string) bool { return parentOf(p) == "" }) {
		w.remove(p, silent)
	}
}
