package tree

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// op is one operation of a churn. It returns its description, or "" if it found nothing to work on and
// did nothing.
type op struct {
	weight int
	group  Ops
	grows  bool // may add entries, at most maxGrowth
	do     func(*Churn) string
}

var ops = []op{
	{weight: 12, grows: true, do: (*Churn).create},
	{weight: 8, do: (*Churn).appendTo},
	{weight: 8, do: (*Churn).rewrite},
	{weight: 2, do: (*Churn).truncate},
	{weight: 8, do: (*Churn).replace},
	{weight: 10, grows: true, do: (*Churn).mkdirAll},
	{weight: 2, grows: true, do: (*Churn).mkdirExcluded},
	{weight: 3, do: (*Churn).flash},
	{weight: 6, group: Removals, do: (*Churn).remove},
	{weight: 3, group: Removals, grows: true, do: (*Churn).replaceDir},
	{weight: 4, group: Renames, do: (*Churn).rename},
	{weight: 8, group: Renames, do: (*Churn).move},
	{weight: 3, group: Renames, do: (*Churn).renameOver},
	{weight: 4, group: Renames, do: (*Churn).swap},
	{weight: 3, group: Renames, grows: true, do: (*Churn).renameNew},
	{weight: 3, group: Renames, grows: true, do: (*Churn).renameAndReplace},
	{weight: 3, group: MovesOut, do: (*Churn).moveOut},
	{weight: 2, group: MovesOut, do: (*Churn).changeOutside},
	{weight: 4, group: MovesIn, grows: true, do: (*Churn).moveIn},
	{weight: 6, group: TypeChanges, grows: true, do: (*Churn).changeType},
	{weight: 4, group: Attributes, do: (*Churn).chmod},
	{weight: 4, group: Attributes, do: (*Churn).utimes},
	{weight: 4, group: Symlinks, grows: true, do: (*Churn).symlink},
	{weight: 2, group: Symlinks, do: (*Churn).relink},
	{weight: 3, group: HardLinks, grows: true, do: (*Churn).hardLink},
	{weight: 1, group: Fifos, grows: true, do: (*Churn).fifo},
}

func (c *Churn) create() string {
	at, ok := c.newPath(c.pickDir(), 0)
	if !ok {
		return ""
	}
	c.doCreate(c.in(at))
	return "create " + quote(at)
}

func (c *Churn) appendTo() string {
	at, size, ok := c.pickFile()
	if !ok || size > 256<<10 {
		return ""
	}
	data := c.data(1 + c.rng.IntN(200))
	c.doWrite(c.in(at), os.O_APPEND, 0, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
	return fmt.Sprintf("append %d bytes to %s", len(data), quote(at))
}

// rewrite changes the content and not the size, sometimes twice in the same instant.
func (c *Churn) rewrite() string {
	at, size, ok := c.pickFile()
	if !ok || size == 0 {
		return ""
	}
	times := 1 + c.rng.IntN(2)
	for range times {
		c.doWrite(c.in(at), 0, 0, func(f *os.File) error {
			_, err := f.WriteAt(c.data(size), 0)
			return err
		})
	}
	return fmt.Sprintf("rewrite %s in place, %d bytes, %d times", quote(at), size, times)
}

func (c *Churn) truncate() string {
	at, size, ok := c.pickFile()
	if !ok || size == 0 {
		return ""
	}
	size = c.rng.IntN(size)
	c.doWrite(c.in(at), 0, 0, func(f *os.File) error { return f.Truncate(int64(size)) })
	return fmt.Sprintf("truncate %s to %d bytes", quote(at), size)
}

// replace is what editors do to save a file.
func (c *Churn) replace() string {
	at, _, ok := c.pick(isFile)
	if !ok {
		return ""
	}
	tmp := c.temp(at)
	c.doCreate(tmp)
	c.doRename(tmp, c.in(at))
	return "write a temporary file and rename it over " + quote(at)
}

func (c *Churn) mkdirAll() string {
	at, ok := c.newPath(c.pickDir(), 0)
	if !ok {
		return ""
	}
	c.doMkdir(c.in(at))
	files := c.rng.IntN(2)
	for range c.rng.IntN(5) {
		next := at + "/" + c.name()
		if len(next) > maxPath-256 {
			break
		}
		at = next
		c.doMkdir(c.in(at))
		if files > 0 {
			c.doCreate(c.in(at) + "/" + c.once("file-"))
		}
	}
	return "mkdir -p " + quote(at)
}

func (c *Churn) mkdirExcluded() string {
	if c.o.Exclude == "" {
		return ""
	}
	at := path.Join(c.pickDir(), c.o.Exclude)
	if _, err := os.Lstat(c.in(at)); err == nil || len(at) > maxPath-512 {
		return ""
	}
	c.doMkdir(c.in(at))
	c.doFill(c.in(at))
	return "mkdir and fill " + quote(at)
}

// flash makes something that is gone at once.
func (c *Churn) flash() string {
	at, ok := c.newPath(c.pickDir(), 256)
	if !ok {
		return ""
	}
	if c.rng.IntN(2) == 0 {
		c.doCreate(c.in(at))
	} else {
		c.doMkdir(c.in(at))
		c.doCreate(c.in(at) + "/" + c.name())
	}
	c.doRemove(c.in(at))
	return "make and remove " + quote(at)
}

func (c *Churn) remove() string {
	at, _, ok := c.pick(anyKind)
	if !ok {
		return ""
	}
	c.doRemove(c.in(at))
	return "rm -r " + quote(at)
}

func (c *Churn) replaceDir() string {
	at, _, ok := c.pick(isDir)
	if !ok || len(at) > maxPath-512 {
		return ""
	}
	c.doRemove(c.in(at))
	c.doMkdir(c.in(at))
	c.doFill(c.in(at))
	return "rm -r, mkdir and fill " + quote(at)
}

func (c *Churn) changeType() string {
	at, kind, ok := c.pickMovable(anyKind)
	if !ok || len(at) > maxPath-512 {
		return ""
	}
	to := []fs.FileMode{0, fs.ModeDir, fs.ModeSymlink}[c.rng.IntN(3)]
	if to == kind || to == fs.ModeSymlink && c.o.Without&Symlinks != 0 {
		return ""
	}
	target := c.in(at)
	// Without a moment in which there is nothing, where the system can do that.
	atomic := !kind.IsDir() && !to.IsDir() && c.rng.IntN(2) == 0
	made := target
	if atomic {
		made = c.temp(at)
	} else {
		c.doRemove(target)
	}
	switch to {
	case fs.ModeDir:
		c.doMkdir(made)
		c.doFill(made)
	case fs.ModeSymlink:
		c.doSymlink(c.target(at), made)
	default:
		c.doCreate(made)
	}
	if atomic {
		c.doRename(made, target)
	}
	return fmt.Sprintf("change %s from %s to %s, atomic %t", quote(at), kindOf(kind), kindOf(to), atomic)
}

func (c *Churn) chmod() string {
	at, kind, ok := c.pick(notLink)
	if ok && kind.IsRegular() {
		at, _, ok = c.pickFile()
	}
	if !ok {
		return ""
	}
	// Only root gets along with what takes away its own rights.
	modes := []fs.FileMode{0o755, 0o700, 0o750}
	if kind.IsDir() && os.Geteuid() == 0 {
		modes = append(modes, 0, 0o111, 0o555, 0o755|fs.ModeSetgid, 0o777|fs.ModeSticky)
	}
	if !kind.IsDir() {
		modes = append(modes, 0o644, 0o600, 0o755|fs.ModeSetuid)
		if os.Geteuid() == 0 {
			modes = append(modes, 0, 0o444, 0o111, 0o755|fs.ModeSetgid)
		}
	}
	mode := modes[c.rng.IntN(len(modes))]
	c.check(os.Chmod(c.in(at), mode))
	return fmt.Sprintf("chmod %v %s", mode, quote(at))
}

func (c *Churn) utimes() string {
	at, kind, ok := c.pick(anyKind)
	if ok && kind.IsRegular() {
		at, _, ok = c.pickFile()
	}
	if !ok {
		return ""
	}
	ns := c.rng.Int64N(1e9)
	if c.rng.IntN(2) == 0 { // what a program that looks at seconds does not see
		info, err := os.Lstat(c.in(at))
		c.check(err)
		if err == nil {
			c.doTimes(c.in(at), time.Unix(info.ModTime().Unix(), ns))
		}
		return fmt.Sprintf("set the nanoseconds of %s to %d", quote(at), ns)
	}
	t := time.Unix([]int64{0, 1, 1e9, 1<<31 - 1, 1 << 31, 4e9}[c.rng.IntN(6)], ns)
	c.doTimes(c.in(at), t)
	return fmt.Sprintf("set the time of %s to %s", quote(at), stamp(t.UnixNano()))
}

func (c *Churn) symlink() string {
	at, ok := c.newPath(c.pickDir(), 0)
	if !ok {
		return ""
	}
	target := c.target(at)
	c.doSymlink(target, c.in(at))
	return "symlink " + quote(at) + " to " + quote(target)
}

// relink points a symlink elsewhere in one instant.
func (c *Churn) relink() string {
	at, _, ok := c.pick(isSymlink)
	if !ok {
		return ""
	}
	target, tmp := c.target(at), c.temp(at)
	c.doSymlink(target, tmp)
	c.doRename(tmp, c.in(at))
	return "symlink anew " + quote(at) + " to " + quote(target)
}

// target returns what a symlink at the path at may point to.
func (c *Churn) target(at string) string {
	switch c.rng.IntN(6) {
	case 0:
		return path.Base(at) // itself
	case 1:
		return []string{".", "..", "/", "../..", "//", "./a/../b"}[c.rng.IntN(6)]
	case 2:
		return strings.Repeat("long/", 1+c.rng.IntN(400))
	case 3:
		return "nowhere/" + c.name()
	}
	to, _, ok := c.pick(anyKind)
	if !ok {
		return c.name()
	}
	return strings.Repeat("../", strings.Count(at, "/")) + to
}

func (c *Churn) hardLink() string {
	from, _, ok := c.pick(isFile)
	if !ok || c.excluded(from) {
		return ""
	}
	at, ok := c.newPath(c.pickDir(), 0)
	if !ok || c.excluded(at) {
		return ""
	}
	c.check(os.Link(c.in(from), c.in(at)))
	return "link " + quote(from) + " as " + quote(at)
}

func (c *Churn) fifo() string {
	at, ok := c.newPath(c.pickDir(), 0)
	if !ok {
		return ""
	}
	c.doFifo(c.in(at))
	return "mkfifo " + quote(at)
}

func kindOf(m fs.FileMode) string {
	switch m {
	case 0:
		return "file"
	case fs.ModeDir:
		return "directory"
	case fs.ModeSymlink:
		return "symlink"
	}
	return m.String()
}

// parent returns the path of the directory of at.
func parent(at string) string {
	if i := strings.LastIndexByte(at, '/'); i >= 0 {
		return at[:i]
	}
	return ""
}
