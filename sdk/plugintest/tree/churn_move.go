package tree

import (
	"io/fs"
	"os"
	"path"
)

// rename gives an entry another name in its directory.
func (c *Churn) rename() string {
	from, kind, ok := c.pickMovable(anyKind)
	if !ok {
		return ""
	}
	return c.moveTo(from, kind, parent(from))
}

// move gives an entry a place elsewhere.
func (c *Churn) move() string {
	from, kind, ok := c.pickMovable(anyKind)
	if !ok {
		return ""
	}
	return c.moveTo(from, kind, c.pickDir())
}

func (c *Churn) moveTo(from string, kind fs.FileMode, dir string) string {
	to, ok := c.newPath(dir, c.below(from, kind))
	if !ok || related(from, to) {
		return ""
	}
	c.doRename(c.in(from), c.in(to))
	return "rename " + quote(from) + " to " + quote(to)
}

// renameOver replaces an entry by another one: any but a directory, or an empty directory.
func (c *Churn) renameOver() string {
	from, kind, ok := c.pickMovable(anyKind)
	if !ok {
		return ""
	}
	want := notDir
	if kind.IsDir() {
		want = isDir
	}
	to, _, ok := c.pickMovable(want)
	if !ok || related(from, to) || len(to)+c.below(from, kind) > maxPath {
		return ""
	}
	if kind.IsDir() && len(c.list(c.in(to))) > 0 {
		return ""
	}
	c.doRename(c.in(from), c.in(to))
	return "rename " + quote(from) + " over " + quote(to)
}

// swap exchanges two entries, in one instant where the system can do that and otherwise by way of a
// third name.
func (c *Churn) swap() string {
	a, kindA, ok := c.pickMovable(anyKind)
	if !ok {
		return ""
	}
	b, kindB, ok := c.pickMovable(anyKind)
	if !ok || related(a, b) || len(a)+c.below(b, kindB) > maxPath || len(b)+c.below(a, kindA) > maxPath {
		return ""
	}
	if c.rng.IntN(2) == 0 && exchange(c.in(a), c.in(b)) == nil {
		return "exchange " + quote(a) + " and " + quote(b)
	}
	tmp := c.temp(a)
	c.doRename(c.in(a), tmp)
	c.doRename(c.in(b), c.in(a))
	c.doRename(tmp, c.in(b))
	return "swap " + quote(a) + " and " + quote(b)
}

// renameNew makes a directory, renames it before a watcher can have seen it, and goes on inside.
func (c *Churn) renameNew() string {
	dir := c.pickDir()
	from, ok := c.newPath(dir, 512)
	if !ok {
		return ""
	}
	to, ok := c.newPath(dir, 512)
	if !ok || related(from, to) {
		return ""
	}
	sub := c.name()
	c.doMkdir(c.in(from))
	c.doMkdir(c.in(from) + "/" + sub)
	c.doRename(c.in(from), c.in(to))
	c.doCreate(c.in(to) + "/" + sub + "/" + c.name())
	return "mkdir " + quote(from) + ", rename it to " + quote(to) + ", create in " + quote(to+"/"+sub)
}

// renameAndReplace moves a directory away and makes another one in its place at once.
func (c *Churn) renameAndReplace() string {
	from, kind, ok := c.pickMovable(isDir)
	if !ok || len(from) > maxPath-512 {
		return ""
	}
	to, ok := c.newPath(c.pickDir(), c.below(from, kind))
	if !ok || related(from, to) {
		return ""
	}
	c.doRename(c.in(from), c.in(to))
	c.doMkdir(c.in(from))
	c.doFill(c.in(from))
	return "rename " + quote(from) + " to " + quote(to) + ", mkdir and fill " + quote(from)
}

// maxOutside bounds the entries of the outside directory.
const maxOutside = 10

func (c *Churn) moveOut() string {
	from, kind, ok := c.pickMovable(anyKind)
	if !ok || !kind.IsDir() && c.rng.IntN(4) != 0 { // mostly directories
		return ""
	}
	c.makeOutside()
	if entries := c.list(c.outside); len(entries) >= maxOutside {
		c.doRemove(c.outside + "/" + entries[0].Name())
	}
	to := c.once("out-")
	c.doRename(c.in(from), c.outside+"/"+to)
	what := "move out " + quote(from) + " as " + to
	if kind.IsDir() && c.rng.IntN(2) == 0 {
		what += c.touch(to)
	}
	return what
}

// changeOutside changes a directory in the outside directory, where nobody must look any more. It only
// makes new entries: others may be hard links to what is inside.
func (c *Churn) changeOutside() string {
	c.makeOutside()
	entries := c.list(c.outside)
	if len(entries) == 0 {
		return ""
	}
	e := entries[c.rng.IntN(len(entries))]
	if !e.IsDir() {
		return ""
	}
	return "outside" + c.touch(e.Name())
}

func (c *Churn) touch(dir string) string {
	name := c.once("outside-")
	c.doCreate(c.outside + "/" + dir + "/" + name)
	return ", create " + quote(dir+"/"+name)
}

// moveIn moves in a new directory, or what was moved out before.
func (c *Churn) moveIn() string {
	c.makeOutside()
	from := c.once("in-")
	if entries := c.list(c.outside); len(entries) > 0 && c.rng.IntN(2) == 0 {
		from = entries[c.rng.IntN(len(entries))].Name()
	}
	to, ok := c.newPath(c.pickDir(), 600)
	if !ok {
		return ""
	}
	whole := path.Join(c.outside, from)
	info, err := os.Lstat(whole)
	switch {
	case err != nil:
		c.doMkdir(whole)
		c.doFill(whole)
	case info.IsDir() && (c.longest(whole) > 600 || c.count(whole) >= maxGrowth):
		return ""
	}
	c.doRename(whole, c.in(to))
	return "move in " + from + " as " + quote(to)
}

func (c *Churn) makeOutside() {
	if c.err == nil {
		c.check(os.MkdirAll(c.outside, 0o755))
	}
}
