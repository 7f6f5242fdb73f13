package watchertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// Mirror is what a core that believes the reports knows of a tree: for each path all that tells that
// it was looked at after its last change.
type Mirror struct {
	t       testing.TB
	w       *Watched
	root    string
	exclude *filter.Filter
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu    sync.Mutex // guards all below
	seen  int        // reports
	known map[string]string
}

// NewMirror returns a mirror of what w watches, which Stop ends.
func NewMirror(t testing.TB, w *Watched, exclude []string) *Mirror {
	ctx, cancel := context.WithCancel(context.Background())
	root, err := filepath.EvalSymlinks(w.Root)
	Must(t, err)
	m := &Mirror{t: t, w: w, root: root, exclude: Filter(t, exclude), cancel: cancel, known: make(map[string]string)}
	m.scan(m.known, "")
	m.done.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-w.Wake:
			case <-ctx.Done():
			}
			m.mu.Lock()
			m.applyAll()
			m.mu.Unlock()
		}
	})
	t.Cleanup(m.Stop)
	return m
}

// Stop ends the mirror.
func (m *Mirror) Stop() {
	m.cancel()
	m.done.Wait()
}

// applyAll looks at what was reported since the last time.
func (m *Mirror) applyAll() {
	changes := m.w.Since(m.seen)
	m.seen += len(changes)
	for _, c := range changes {
		m.apply(c)
	}
}

// apply looks at what c names.
func (m *Mirror) apply(c sdk.Change) {
	sign, dir := m.sign(c.Path)
	if m.exclude.Excluded(c.Path, dir) {
		sign, dir = "", false
	}
	if !dir || c.Scope == sdk.ScopeSubtree {
		whole := sdk.Change{Path: c.Path, Scope: sdk.ScopeSubtree}
		for p := range m.known {
			if whole.Covers(p) {
				delete(m.known, p)
			}
		}
	}
	if c.Path != "" {
		m.renew(relpath.Parent(c.Path))
	}
	switch {
	case sign == "":
	case c.Scope == sdk.ScopeSubtree && dir:
		m.scan(m.known, c.Path)
	default:
		m.known[c.Path] = sign
	}
}

// renew looks at a directory itself, as whoever acts on a change in it does too: the change may have been one of
// its modification time.
func (m *Mirror) renew(path string) {
	if _, ok := m.known[path]; !ok {
		return
	}
	if sign, dir := m.sign(path); dir {
		m.known[path] = sign
	}
}

// sign returns what is at path now; "" is nothing. Paths that are outdated may lead through a symlink,
// which must not be followed.
func (m *Mirror) sign(path string) (sign string, dir bool) {
	fd, err := unix.Openat2(unix.AT_FDCWD, filepath.Join(m.root, path), &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	Must(m.t, unix.Fstat(fd, &st))
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return fmt.Sprintf("%o %d", st.Mode, st.Mtim.Nano()), true
	}
	return fmt.Sprintf("%o %d %d %d", st.Mode, st.Ino, st.Size, st.Mtim.Nano()), false
}

// scan adds path and all below it.
func (m *Mirror) scan(to map[string]string, path string) {
	sign, dir := m.sign(path)
	if sign == "" {
		return
	}
	to[path] = sign
	if !dir {
		return
	}
	entries, _ := os.ReadDir(filepath.Join(m.root, path))
	for _, e := range entries {
		if p := relpath.Join(path, e.Name()); !m.exclude.Match(p, e.IsDir()) {
			m.scan(to, p)
		}
	}
}

// Diff compares the mirror with the tree.
func (m *Mirror) Diff() string {
	now := make(map[string]string)
	m.scan(now, "")
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applyAll()
	var b strings.Builder
	for p, s := range now {
		if m.known[p] != s {
			fmt.Fprintf(&b, "%q is %q, known as %q\n", p, s, m.known[p])
		}
	}
	for p := range m.known {
		if _, ok := now[p]; !ok {
			fmt.Fprintf(&b, "%q is gone\n", p)
		}
	}
	return b.String()
}

// Dirs returns all directories of the tree.
func (m *Mirror) Dirs() (dirs []string) {
	now := make(map[string]string)
	m.scan(now, "")
	for p := range now {
		if _, dir := m.sign(p); dir {
			dirs = append(dirs, p)
		}
	}
	slices.Sort(dirs)
	return dirs
}
