package tree

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Kinds to pick from, by the type bits of a mode.
func isFile(m fs.FileMode) bool    { return m.IsRegular() }
func isDir(m fs.FileMode) bool     { return m.IsDir() }
func notDir(m fs.FileMode) bool    { return !m.IsDir() }
func isSymlink(m fs.FileMode) bool { return m == fs.ModeSymlink }
func notLink(m fs.FileMode) bool   { return m.IsRegular() || m.IsDir() || m == fs.ModeNamedPipe }
func anyKind(fs.FileMode) bool     { return true }

// pick returns a random entry below the root of a wanted kind, by its path and type. It may not find
// one.
func (c *Churn) pick(want func(fs.FileMode) bool) (at string, kind fs.FileMode, ok bool) {
	for range 8 {
		for dir := ""; ; {
			entries := c.list(c.in(dir))
			if len(entries) == 0 {
				break
			}
			e := entries[c.rng.IntN(len(entries))]
			p := path.Join(dir, e.Name())
			if want(e.Type()) && (!e.IsDir() || c.rng.IntN(3) == 0) {
				return p, e.Type(), true
			}
			if !e.IsDir() {
				break
			}
			dir = p
		}
	}
	return "", 0, false
}

// pickMovable is pick for operations that change a name or a type: it leaves out directories with the
// excluded name.
func (c *Churn) pickMovable(want func(fs.FileMode) bool) (at string, kind fs.FileMode, ok bool) {
	at, kind, ok = c.pick(want)
	return at, kind, ok && (c.o.Exclude == "" || path.Base(at) != c.o.Exclude)
}

// pickFile returns a random file that may be changed in place.
func (c *Churn) pickFile() (at string, size int, ok bool) {
	at, _, ok = c.pick(isFile)
	if !ok {
		return "", 0, false
	}
	var st unix.Stat_t
	if err := unix.Lstat(c.in(at), &st); err != nil {
		c.check(err)
		return "", 0, false
	}
	return at, int(st.Size), !(st.Nlink > 1 && c.excluded(at))
}

// excluded reports whether at is below a directory with the excluded name.
func (c *Churn) excluded(at string) bool {
	return c.o.Exclude != "" && slices.Contains(strings.Split(at, "/"), c.o.Exclude)
}

// pickDir returns a random directory, perhaps the root.
func (c *Churn) pickDir() string {
	if at, _, ok := c.pick(isDir); ok && c.rng.IntN(4) != 0 {
		return at
	}
	return ""
}

// newPath returns a path in dir that does not exist, and that stays within maxPath with more bytes
// below it. If dir is too deep it is one in the root; if that is too deep as well there is none.
func (c *Churn) newPath(dir string, more int) (at string, ok bool) {
	for try := range 8 {
		at = path.Join(dir, c.name())
		if try == 7 { // all taken, so it seems
			at = path.Join(dir, c.once("new-"))
		}
		if len(at)+more > maxPath {
			dir = ""
			continue
		}
		if _, err := os.Lstat(c.in(at)); err != nil {
			return at, true
		}
	}
	return "", false
}

// name returns a plain name half of the time.
func (c *Churn) name() string {
	if c.rng.IntN(2) == 0 {
		return c.names[c.rng.IntN(c.plain)]
	}
	return c.names[c.rng.IntN(len(c.names))]
}

// longest returns the length of the longest path below dir, with its leading slash.
func (c *Churn) longest(dir string) int {
	n := 0
	for _, e := range c.list(dir) {
		l := 1 + len(e.Name())
		if e.IsDir() {
			l += c.longest(dir + "/" + e.Name())
		}
		n = max(n, l)
	}
	return n
}

// below returns longest for a directory and 0 for others.
func (c *Churn) below(at string, kind fs.FileMode) int {
	if !kind.IsDir() {
		return 0
	}
	return c.longest(c.in(at))
}

// related reports whether one path is the other or lies below it.
func related(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

func (c *Churn) in(at string) string {
	if at == "" {
		return c.root
	}
	return c.root + "/" + at
}
