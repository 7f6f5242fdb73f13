package core

import (
	"context"
	"slices"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// rename does at the destination what was renamed at the source, as the rsync plugin does it: it believes no
// hint, but what it does not see is what the destination has under the former name.
func (c *simCall) rename(ctx context.Context) error {
	if !c.req.Delete || c.req.DryRun {
		return nil
	}
	w, d := c.w, c.d
	for _, ch := range c.req.Changes {
		if ch.From == "" || c.rng.IntN(4) == 0 {
			continue
		}
		if err := c.step(ctx); err != nil {
			return err
		}
		w.mu.Lock()
		if c.movable(ch) && c.makeAbove(ch.Path) {
			for _, p := range d.tree.paths(ch.From) {
				c.touch(p)
				c.touch(ch.Path + p[len(ch.From):])
				d.tree[ch.Path+p[len(ch.From):]] = d.tree[p]
				delete(d.tree, p)
			}
			w.note(c.name, "renames %s → %s", ch.From, ch.Path)
		}
		w.mu.Unlock()
		if err := c.wait(ctx, time.Duration(c.rng.IntN(1_000_000))); err != nil {
			return err
		}
	}
	return nil
}

// deferNew leaves out some of what is in new directories.
func (c *simCall) deferNew() {
	if !c.req.MayDefer || c.req.DryRun || c.rng.IntN(2) == 0 {
		return
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for _, ch := range c.req.Changes {
		if ch.Path == "" || ch.Scope != sdk.ScopeSubtree || ch.Ops&sdk.OpCreate == 0 {
			continue
		}
		for _, p := range c.w.view().paths(ch.Path) {
			if parentOf(p) == ch.Path && c.rng.IntN(2) == 0 {
				c.result.Deferred = append(c.result.Deferred, p)
			}
		}
	}
	c.req.Busy = slices.Concat(c.req.Busy, c.result.Deferred)
}

// movable reports whether a rename may be done. w is locked.
func (c *simCall) movable(ch sdk.Change) bool {
	view, far := c.w.view(), c.d.tree
	n, there := view[ch.Path]
	was, left := view[ch.From]
	vacated := !left || slices.ContainsFunc(c.req.Changes, func(o sdk.Change) bool {
		return o.Covers(ch.From) && (o.Scope == sdk.ScopeSubtree || !was.dir)
	})
	_, has := far[ch.From]
	_, taken := far[ch.Path]
	switch {
	case !there, !vacated, n.dir && (ch.Scope != sdk.ScopeSubtree || !c.exclude.NamesOnly()):
		return false
	case c.busy(ch.Path), c.busy(ch.From), slices.ContainsFunc(c.req.Busy, func(b string) bool { return within(b, ch.From) || within(b, ch.Path) }):
		return false
	case c.exclude.ExcludedMissing(ch.Path), c.exclude.ExcludedMissing(ch.From):
		return false
	}
	return has && !taken && !within(ch.Path, ch.From)
}

// makeAbove makes the directories that are missing above a path, if the request compares them, and reports whether
// they are all there then. w is locked.
func (c *simCall) makeAbove(path string) bool {
	dir := parentOf(path)
	n, there := c.d.tree[dir]
	switch {
	case c.d.tree.isDir(dir):
		return true
	case there, !c.w.view().isDir(dir), !c.makeAbove(dir):
		return false
	case !slices.ContainsFunc(c.req.Changes, func(o sdk.Change) bool { return o.Scope == sdk.ScopeSubtree && o.Covers(dir) }):
		return false
	}
	n.dir = true // not its attributes, which are sent
	c.touch(dir)
	c.d.tree[dir] = n
	c.w.note(c.name, "makes %s", dir)
	return true
}
