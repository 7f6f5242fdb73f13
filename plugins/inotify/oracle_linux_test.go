package inotify

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
	"github.com/filewatch/filewatch/sdk/wire"
)

var oracleFirst = flag.Uint64("oracle.first", 1, "first seed of the random tree oracle")

// TestOracle changes a tree at random, as fast as it can, from two goroutines. A mirror is kept in step
// only by what is reported, as the core does it. After the changes the mirror must become equal to the
// tree, the watched directories must be exactly those that exist, and a canary in each must be
// reported under its right path.
func TestOracle(t *testing.T) {
	leakCheck(t)
	var dirs, rescans int
	seeds := trees.Seeds(t, 40)
	for i := range seeds {
		seed := *oracleFirst + uint64(i)
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			d, r := oracle(t, seed)
			dirs, rescans = dirs+d, rescans+r
		}) {
			break
		}
	}
	t.Logf("%d seeds, %d directories, %d rescans of the whole tree", seeds, dirs, rescans)
}

func oracle(t *testing.T, seed uint64) (dirs, rescans int) {
	var exclude []string
	if seed%4 == 0 {
		exclude = []string{"*.skip", "a/b/", "/c/d", "x/**/y"}
	}
	root, out := t.TempDir(), t.TempDir()
	t.Setenv(wire.EnvRunDir, t.TempDir())
	first := churn{rand.New(rand.NewPCG(seed, 0)), root, out, seed%4 != 0}
	for range 50 { // it does not start empty
		first.step()
	}
	tn := production
	tn.tidy = time.Duration(1+seed%3*10) * time.Millisecond
	lossy := seed%5 == 0
	if lossy {
		tn.queueLimit = 3000 // some fifty events, so that many are lost
	}
	w := start(t, tn.watch, root, exclude...)
	m := newMirror(t, w, exclude)
	var wg sync.WaitGroup
	for i := range 2 {
		c := churn{rand.New(rand.NewPCG(seed, 1+uint64(i))), root, out, seed%4 != 0}
		wg.Go(func() {
			for range 150 {
				c.step()
			}
		})
	}
	wg.Wait()

	w.prove()
	if diff := m.diff(); diff != "" {
		t.Fatal(diff)
	}
	all := m.dirs()
	watchesExactly(t, w, root, all)
	for _, c := range w.since(0) {
		if c.Path == "" && c.Scope == sdk.ScopeSubtree {
			rescans++
		}
	}
	if lossy {
		for _, dir := range all {
			w.alive(dir)
		}
	} else {
		mark := w.mark()
		var want []string
		for _, dir := range all {
			p := relpath.Join(dir, "canary")
			must(t, os.WriteFile(filepath.Join(root, p), nil, 0o644))
			want = append(want, p)
		}
		w.reports(mark, want...)
	}
	must(t, w.end())
	m.stop()
	return len(all), rescans
}

// churn makes random changes. Others may change the tree too, so whatever fails is left undone.
type churn struct {
	*rand.Rand
	root, out string
	links     bool // a write through an excluded name does not tell of the others
}

var churnNames = append([]string{"a", "b", "c", "d", "x", "y", "m.skip"}, trees.HostileNames()[:6]...)

func (c churn) name() string { return churnNames[c.IntN(len(churnNames))] }

// path returns a path of up to four names; few names make for many collisions.
func (c churn) path() string {
	p := c.root
	for range 1 + c.IntN(4) {
		p += "/" + c.name()
	}
	return p
}

// existing returns a path that exists, if it finds one.
func (c churn) existing() string {
	p := c.root
	for range 1 + c.IntN(4) {
		entries, _ := os.ReadDir(p)
		if len(entries) == 0 {
			break
		}
		p += "/" + entries[c.IntN(len(entries))].Name()
	}
	if p == c.root {
		return c.path()
	}
	return p
}

func (c churn) step() {
	outside := c.out + "/" + strconv.Itoa(c.IntN(3))
	switch c.IntN(17) {
	case 0, 1:
		_ = os.MkdirAll(c.path(), 0o755)
	case 2:
		p := c.path()
		_ = os.MkdirAll(p, 0o755)
		_ = os.WriteFile(p+"/"+c.name(), []byte("deep"), 0o644)
	case 3, 4:
		_ = os.WriteFile(c.path(), []byte(strconv.Itoa(c.Int())), 0o644)
	case 5:
		if f, err := os.OpenFile(c.existing(), os.O_WRONLY|os.O_APPEND, 0); err == nil {
			_, _ = f.WriteString("more")
			f.Close()
		}
	case 6, 7, 8:
		_ = unix.Rename(c.existing(), c.path())
	case 9:
		_ = unix.Rename(c.existing(), c.existing())
	case 10:
		_ = unix.Renameat2(unix.AT_FDCWD, c.existing(), unix.AT_FDCWD, c.existing(), unix.RENAME_EXCHANGE)
	case 11:
		_ = os.RemoveAll(c.existing())
	case 12:
		_ = unix.Rename(c.existing(), outside)
	case 13:
		_ = unix.Rename(outside, c.path())
	case 14:
		_ = os.Symlink(c.root, c.path())
	case 15:
		if c.links {
			_ = os.Link(c.existing(), c.path())
		}
	case 16:
		p := c.existing()
		if info, err := os.Lstat(p); err == nil && info.Mode().Type() != fs.ModeSymlink {
			_ = os.Chmod(p, 0o700|fs.FileMode(c.IntN(64)))
		}
	}
}

// mirror is what a core that believes the reports knows of a tree: for each path all that tells that
// it was looked at after its last change.
type mirror struct {
	t       *testing.T
	w       *watched
	root    string
	exclude *filter.Filter
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu    sync.Mutex // guards all below
	seen  int        // reports
	known map[string]string
}

func newMirror(t *testing.T, w *watched, exclude []string) *mirror {
	ctx, cancel := context.WithCancel(context.Background())
	root, err := filepath.EvalSymlinks(w.root)
	must(t, err)
	m := &mirror{t: t, w: w, root: root, exclude: mustFilter(t, exclude), cancel: cancel, known: make(map[string]string)}
	m.scan(m.known, "")
	m.done.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-w.wake:
			case <-ctx.Done():
			}
			m.mu.Lock()
			m.applyAll()
			m.mu.Unlock()
		}
	})
	t.Cleanup(m.stop)
	return m
}

func (m *mirror) stop() {
	m.cancel()
	m.done.Wait()
}

// applyAll looks at what was reported since the last time.
func (m *mirror) applyAll() {
	changes := m.w.since(m.seen)
	m.seen += len(changes)
	for _, c := range changes {
		m.apply(c)
	}
}

// apply looks at what c names.
func (m *mirror) apply(c sdk.Change) {
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
	switch {
	case sign == "":
	case c.Scope == sdk.ScopeSubtree && dir:
		m.scan(m.known, c.Path)
	default:
		m.known[c.Path] = sign
	}
}

// sign returns what is at path now; "" is nothing. Paths that are outdated may lead through a symlink,
// which must not be followed.
func (m *mirror) sign(path string) (sign string, dir bool) {
	fd, err := unix.Openat2(unix.AT_FDCWD, filepath.Join(m.root, path), &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	must(m.t, unix.Fstat(fd, &st))
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return fmt.Sprintf("%o", st.Mode), true
	}
	return fmt.Sprintf("%o %d %d %d", st.Mode, st.Ino, st.Size, st.Mtim.Nano()), false
}

// scan adds path and all below it.
func (m *mirror) scan(to map[string]string, path string) {
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

// diff compares the mirror with the tree.
func (m *mirror) diff() string {
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

// dirs returns all directories of the tree.
func (m *mirror) dirs() (dirs []string) {
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

// watchesExactly waits until the kernel says that exactly the directories at paths are watched.
func watchesExactly(t *testing.T, w *watched, root string, paths []string) {
	t.Helper()
	want := make(map[uint64]string)
	for _, p := range paths {
		var st unix.Stat_t
		must(t, unix.Lstat(filepath.Join(root, p), &st))
		want[st.Ino] = p
	}
	if run := os.Getenv(wire.EnvRunDir); run != "" { // where the directory for barriers is watched, too
		own, err := filepath.Glob(run + "/barrier-*")
		must(t, err)
		for _, p := range own {
			var st unix.Stat_t
			must(t, unix.Lstat(p, &st))
			want[st.Ino] = p
		}
	}
	w.eventually(func() string {
		got := watchedInodes(t)
		for ino, p := range want {
			if !got[ino] {
				return fmt.Sprintf("%q is not watched", p)
			}
		}
		if len(got) > len(want) {
			return fmt.Sprintf("%d watches for %d directories", len(got), len(want))
		}
		return ""
	})
}

// watchedInodes returns what this process watches; it must have one inotify instance.
func watchedInodes(t *testing.T) map[uint64]bool {
	t.Helper()
	inodes := make(map[uint64]bool)
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	instances := 0
	for _, e := range entries {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); to != "anon_inode:inotify" {
			continue
		}
		instances++
		info, err := os.ReadFile("/proc/self/fdinfo/" + e.Name())
		must(t, err)
		for line := range strings.Lines(string(info)) {
			var wd, ino uint64
			if n, _ := fmt.Sscanf(line, "inotify wd:%x ino:%x", &wd, &ino); n == 2 {
				inodes[ino] = true
			}
		}
	}
	if instances != 1 {
		t.Fatalf("%d inotify instances", instances)
	}
	return inodes
}
