package inotify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

// whole is the change that puts everything in doubt.
func whole(c sdk.Change) bool { return c.Path == "" && c.Scope == sdk.ScopeSubtree }

// TestKernelOverflow stops reading until the kernel's queue has overflowed.
func TestKernelOverflow(t *testing.T) {
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d/e", "old/e", "gone/e", "left/e")
	gate := newGate()
	tn := quick()
	tn.beforeRead = gate.pass
	w := start(t, tn.watch, a.root)
	gate.close()
	mark := w.mark()
	for i := range 20000 {
		f, err := os.Create(filepath.Join(a.root, "d", fmt.Sprint(i)))
		must(t, err)
		f.Close()
	}
	a.mkdir("new/x/y", "d/e/f/g")
	a.mv("old", "moved")
	a.rm("gone")
	a.mv("left", "out:left")
	gate.open()
	w.eventually(func() string {
		if !slices.ContainsFunc(w.since(mark), whole) {
			return "no comparison of everything"
		}
		return ""
	})
	watchesExactly(t, w, a.root, a.tree())
	w.alive(a.tree()...)
	mark = w.mark()
	a.write("d/e/quiet")
	w.reports(mark, "d/e/quiet")
	if slices.ContainsFunc(w.since(mark), whole) {
		t.Error("the overflow is not over")
	}
}

// TestQueueOverflow overflows the buffer of this process, many times.
func TestQueueOverflow(t *testing.T) {
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	tn := quick()
	tn.queueLimit = 200
	w := start(t, tn.watch, a.root)
	for i := range 500 {
		a.mkdir(fmt.Sprintf("%d/%d", i%7, i))
		a.write(fmt.Sprintf("%d/%d/f", i%7, i))
	}
	watchesExactly(t, w, a.root, a.tree())
	w.covers(0, "6/6/f", "0/7/f")
	for _, d := range a.tree() {
		w.alive(d) // one after the other: a rescan would not name them
	}
}

// gate lets through while it is open.
type gate struct {
	mu   sync.Mutex
	cond *sync.Cond
	shut bool
}

func newGate() *gate { g := &gate{}; g.cond = sync.NewCond(&g.mu); return g }
func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.shut {
		g.cond.Wait()
	}
}
func (g *gate) close() { g.mu.Lock(); defer g.mu.Unlock(); g.shut = true }
func (g *gate) open()  { g.mu.Lock(); defer g.mu.Unlock(); g.shut = false; g.cond.Broadcast() }

func TestRootLost(t *testing.T) {
	for _, tc := range []struct {
		name  string
		setup func(a area)
		op    func(a area)
		want  string // a pattern: what tells first is a matter of luck
	}{
		{"missing", nil, nil, "does not exist"},
		{"a file", func(a area) { a.write("r") }, nil, "not a directory"},
		{"removed", func(a area) { a.mkdir("r/d") }, func(a area) { a.rm("r") }, "removed|does not exist"},
		{"moved away", func(a area) { a.mkdir("r/d") }, func(a area) { a.mv("r", "s") }, "moved away|does not exist"},
		{"replaced", func(a area) { a.mkdir("r/d", "s") },
			func(a area) {
				must(t, unix.Renameat2(unix.AT_FDCWD, a.path("r"), unix.AT_FDCWD, a.path("s"), unix.RENAME_EXCHANGE))
			}, "moved away|replaced"},
		{"its parent is moved", func(a area) { a.mkdir("p/d"); must(t, os.Symlink("p/d", a.path("r"))) },
			func(a area) { a.mv("p", "q") }, "does not exist"},
		{"its symlink leads elsewhere", func(a area) { a.mkdir("p", "q"); must(t, os.Symlink("p", a.path("r"))) },
			func(a area) { must(t, os.Symlink("q", a.path("s"))); a.mv("s", "r") }, "replaced"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			leakCheck(t)
			a := area{t, t.TempDir(), t.TempDir()}
			if tc.setup != nil {
				tc.setup(a)
			}
			w := begin(t, quick().watch, a.path("r"))
			if tc.op != nil {
				<-w.ready
				tc.op(a)
			}
			<-w.done
			if !sdk.IsRootLost(w.err) || !regexp.MustCompile(tc.want).MatchString(w.err.Error()) || !strings.Contains(w.err.Error(), a.path("r")) {
				t.Errorf("got %v", w.err)
			}
		})
	}
}

// TestRootSymlink: the root may be a symlink; what is below it is never followed.
func TestRootSymlink(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("real/d", "other/e")
	must(t, os.Symlink("real", a.path("r")))
	must(t, os.Symlink(a.path("other"), a.path("real/l")))
	w := start(t, quick().watch, a.path("r"))
	w.alive("", "d")
	watchesExactly(t, w, a.path("real"), []string{"", "d"})
}

func TestExcludedAreNotWatched(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("keep/cache/x", "cache/y", "a/skip/b", "z/a/skip/b", "one", "m.d", "deep/1/2/3/in", "deep/1/2/out")
	patterns := []string{"cache/", "/a/skip", "*.d", "*.swp", "/deep/1/2/3", "/deeper/1/2/out"}
	w := start(t, quick().watch, a.root, patterns...)
	watchesExactly(t, w, a.root, []string{"", "keep", "a", "z", "z/a", "z/a/skip", "z/a/skip/b", "one",
		"deep", "deep/1", "deep/1/2", "deep/1/2/out"})

	mark := w.mark()
	a.write("cache/f", "keep/f.swp", "keep/cache/x/f", "a/skip/f")
	a.mkdir("new/cache/x", "n.d")
	a.mv("one", "one.d") // now excluded
	a.mv("m.d", "m")     // no longer
	a.mkdir("m/in")
	a.mv("z/a", "a2") // a pattern with several names sees the path
	a.mv("a", "q")    // and q/skip is not a/skip
	a.mv("a2", "a")   // and a/skip is excluded now
	a.mv("deep", "deeper")
	a.write("last")
	w.covers(mark, "one", "m/in", "q/skip/b", "last")
	watchesExactly(t, w, a.root, []string{"", "keep", "z", "new", "m", "m/in", "q", "q/skip", "q/skip/b", "a",
		"deeper", "deeper/1", "deeper/1/2", "deeper/1/2/3", "deeper/1/2/3/in"})
	w.alive("q/skip/b", "m/in", "new", "a", "deeper/1/2/3/in")
	f := mustFilter(t, patterns)
	for _, c := range w.since(mark) {
		if f.Excluded(c.Path, false) && c.Path != "a/skip" {
			t.Errorf("%+v is excluded", c)
		}
	}
}

// TestDeepTree: neither the depth of a tree nor the length of its paths is limited.
func TestDeepTree(t *testing.T) {
	leakCheck(t)
	root := t.TempDir()
	name := strings.Repeat("d", 100)
	const depth = 3 * maxHeld
	bottom := openDeep(t, root, slices.Repeat([]string{name}, depth)...)
	w := start(t, quick().watch, root)
	path := strings.Repeat(name+"/", depth)

	touch := func(dir int, name string) {
		t.Helper()
		fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_WRONLY, 0o644)
		must(t, err)
		unix.Close(fd)
	}
	mark := w.mark()
	touch(bottom, "f")
	w.reports(mark, path+"f")
	must(t, unix.Mkdirat(bottom, "more", 0o755))
	w.reports(mark, path+"more")
	must(t, os.Rename(filepath.Join(root, name), filepath.Join(root, "n")))
	mark = w.mark()
	touch(bottom, "g")
	w.reports(mark, "n"+strings.TrimPrefix(path, name)+"g")
	unix.Close(bottom)
	if paths, reason := w.unwatched(); len(paths) > 0 {
		t.Errorf("%d unwatched: %s", len(paths), reason)
	}
	must(t, w.end())
}

// openDeep makes the directories, one below the other, and opens the last one.
func openDeep(t *testing.T, root string, names ...string) int {
	t.Helper()
	fd, err := unix.Open(root, unix.O_PATH, 0)
	must(t, err)
	for _, name := range names {
		must(t, unix.Mkdirat(fd, name, 0o755))
		next, err := unix.Openat(fd, name, unix.O_PATH, 0)
		must(t, err)
		unix.Close(fd)
		fd = next
	}
	return fd
}

// TestRenameIsOneStep: what is below a renamed directory is not read again.
func TestRenameIsOneStep(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	for i := range 50 {
		a.mkdir(fmt.Sprintf("d/%d/x", i))
	}
	w := start(t, quick().watch, a.root)
	before := watchedInodes(t)
	mark := w.mark()
	a.mv("d", "e")
	w.covers(mark, "d", "e")
	w.alive(a.tree()...)
	if after := watchedInodes(t); len(after) != len(before) {
		t.Errorf("%d watches, had %d", len(after), len(before))
	}
	for _, c := range w.since(mark) {
		if strings.HasPrefix(c.Path, "e/") && !strings.Contains(c.Path, "canary") {
			t.Errorf("needless %+v", c)
		}
	}
}

// TestFewReports: one new tree is one report, with nothing more to wait for.
func TestFewReports(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	w := start(t, quick().watch, a.root)
	a.mkdir("out:d/e/f")
	a.write("out:d/e/f/g", "out:d/h")
	a.mv("out:d", "d")
	w.covers(0, "d/e/f/g")
	a.write("end")
	w.covers(0, "end")
	if got := w.since(0)[0]; got != (sdk.Change{Path: "d", Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate | sdk.OpRename | sdk.OpClose}) {
		t.Errorf("got %+v", got)
	}
	for _, c := range w.since(1) {
		if c.Path != "end" {
			t.Errorf("needless %+v", c)
		}
	}
}

// TestTwoRoots: watches of one process do not disturb each other, not even on the same root.
func TestTwoRoots(t *testing.T) {
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d")
	one, two := start(t, quick().watch, a.root), start(t, quick().watch, a.root)
	one.alive("", "d")
	must(t, one.end())
	two.alive("", "d")
	must(t, two.end())
}

// TestEndDuringWalk ends a watch that has not become ready.
func TestEndDuringWalk(t *testing.T) {
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	for i := range 200 {
		a.mkdir(fmt.Sprintf("%d/x", i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := watchInotify(ctx, a.root, nil, nil, newRecorder()); err != nil {
		t.Error(err)
	}
}

// TestOpenDirectoryRemoved: a directory that is still in use when it is removed tells of its end late.
func TestOpenDirectoryRemoved(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d/e")
	w := start(t, quick().watch, a.root)
	held, err := os.Open(a.path("d"))
	must(t, err)
	a.rm("d")
	a.mkdir("d/e")
	w.alive("d/e", "d", "")
	mark := w.mark()
	held.Close()
	w.alive("d/e", "d", "")
	if slices.ContainsFunc(w.since(mark), whole) {
		t.Error("needless comparison of everything")
	}
	watchesExactly(t, w, a.root, a.tree())
}

func TestHardLinkedWriteNamesTheNameUsed(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d")
	a.write("f")
	must(t, os.Link(a.path("f"), a.path("d/h")))
	w := start(t, quick().watch, a.root)
	a.write("d/h")
	w.reports(0, "d/h")
}

func TestMmapWriteIsSeenOnClose(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.write("f")
	w := start(t, quick().watch, a.root)
	f, err := os.OpenFile(a.path("f"), os.O_RDWR, 0)
	must(t, err)
	mem, err := syscall.Mmap(int(f.Fd()), 0, 1, syscall.PROT_WRITE, syscall.MAP_SHARED)
	must(t, err)
	mem[0] = 'x'
	must(t, syscall.Munmap(mem))
	must(t, f.Close())
	w.eventually(func() string {
		if c := w.since(0); len(c) == 0 || c[0].Path != "f" || c[0].Ops&sdk.OpClose == 0 {
			return fmt.Sprintf("got %+v", c)
		}
		return ""
	})
}

// TestBackAfterOverflow: a directory that was not there when everything was walked, and comes back
// before it is given up, is read again.
func TestBackAfterOverflow(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d/e/f")
	gate := newGate()
	tn := quick()
	tn.beforeRead = gate.pass
	tn.queueLimit = unix.SizeofInotifyEvent + 16 // one event
	tn.tidy = time.Hour
	w := start(t, tn.watch, a.root)
	gate.close()
	a.write("wake")
	a.mv("d", "out:d")
	a.write("more")
	gate.open()
	w.eventually(func() string {
		if !slices.ContainsFunc(w.since(0), whole) {
			return "no comparison of everything"
		}
		return ""
	})
	mark := w.mark()
	a.mv("out:d", "d")
	w.covers(mark, "d/e/f/x")
	mark = w.mark()
	must(t, os.Symlink("x", a.path("d/e/f/l")))
	w.reports(mark, "d/e/f/l")
}

// TestAwayAndBack: whoever looks at a file while its directory is away for a moment sees nothing there,
// so the directory's return is a reason to look at all of it.
func TestAwayAndBack(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d")
	gate := newGate()
	tn := quick()
	tn.beforeRead = gate.pass
	w := start(t, tn.watch, a.root)
	gate.close()
	a.write("wake")
	a.mv("d", "e")
	a.mv("e", "d")
	mark := w.mark()
	gate.open()
	w.covers(mark, "d/f")
}
