package watchertest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Area is where a case works: a watched root, and a directory beside it. Paths are relative to the root, or
// to the other directory when they start with "out:".
type Area struct {
	T         testing.TB
	Root, Out string
}

// NewArea returns an empty area.
func NewArea(t testing.TB) Area { return Area{t, t.TempDir(), t.TempDir()} }

// Path returns the absolute path.
func (a Area) Path(p string) string {
	if rest, ok := strings.CutPrefix(p, "out:"); ok {
		return filepath.Join(a.Out, rest)
	}
	return filepath.Join(a.Root, p)
}

// Mkdir makes directories, with those above.
func (a Area) Mkdir(paths ...string) {
	for _, p := range paths {
		Must(a.T, os.MkdirAll(a.Path(p), 0o755))
	}
}

// Write writes files anew.
func (a Area) Write(paths ...string) {
	for _, p := range paths {
		Must(a.T, os.WriteFile(a.Path(p), []byte(p), 0o644))
	}
}

// Move renames. An empty directory may be in the way of another.
func (a Area) Move(from, to string) { Must(a.T, syscall.Rename(a.Path(from), a.Path(to))) }

// Remove removes files, and directories with all that is in them.
func (a Area) Remove(paths ...string) {
	for _, p := range paths {
		Must(a.T, os.RemoveAll(a.Path(p)))
	}
}

// Old gives a file a modification time long ago.
func (a Area) Old(p string) {
	then := time.Unix(1e9, 123456789)
	Must(a.T, os.Chtimes(a.Path(p), then, then))
}

// Link gives a file one more name.
func (a Area) Link(from, to string) { Must(a.T, os.Link(a.Path(from), a.Path(to))) }

// Dirs returns all directories of the tree.
func (a Area) Dirs() []string {
	dirs := []string{""}
	Must(a.T, filepath.WalkDir(a.Root, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && p != a.Root {
			rel, _ := filepath.Rel(a.Root, p)
			dirs = append(dirs, rel)
		}
		return err
	}))
	return dirs
}
