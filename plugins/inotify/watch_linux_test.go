package inotify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
)

// TestKernelOverflow stops reading until the kernel's queue has overflowed.
func TestKernelOverflow(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	a.Mkdir("d/e", "old/e", "gone/e", "left/e")
	gate := watchertest.NewGate()
	tn := quick()
	tn.beforeRead = gate.Pass
	w := watchertest.Start(t, tn.watch, a.Root)
	gate.Close()
	mark := w.Mark()
	for i := range 20000 {
		f, err := os.Create(filepath.Join(a.Root, "d", fmt.Sprint(i)))
		watchertest.Must(t, err)
		f.Close()
	}
	a.Mkdir("new/x/y", "d/e/f/g")
	a.Move("old", "moved")
	a.Remove("gone")
	a.Move("left", "out:left")
	gate.Open()
	w.Eventually(func() string {
		if !slices.ContainsFunc(w.Since(mark), watchertest.Whole) {
			return "no comparison of everything"
		}
		return ""
	})
	watchesExactly(t, w, a.Root, a.Dirs())
	w.Alive(a.Dirs()...)
	mark = w.Mark()
	a.Write("d/e/quiet")
	w.Reports(mark, "d/e/quiet")
	if slices.ContainsFunc(w.Since(mark), watchertest.Whole) {
		t.Error("the overflow is not over")
	}
}

// TestQueueOverflow overflows the buffer of this process, many times.
func TestQueueOverflow(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	tn := quick()
	tn.queueLimit = 200
	w := watchertest.Start(t, tn.watch, a.Root)
	for i := range 500 {
		a.Mkdir(fmt.Sprintf("%d/%d", i%7, i))
		a.Write(fmt.Sprintf("%d/%d/f", i%7, i))
	}
	watchesExactly(t, w, a.Root, a.Dirs())
	w.Covers(0, "6/6/f", "0/7/f")
	for _, d := range a.Dirs() {
		w.Alive(d) // one after the other: a rescan would not name them
	}
}

func TestRootLost(t *testing.T) {
	for _, tc := range []struct {
		name  string
		setup func(a watchertest.Area)
		op    func(a watchertest.Area)
		want  string // a pattern: what tells first is a matter of luck
	}{
		{"missing", nil, nil, "does not exist"},
		{"a file", func(a watchertest.Area) { a.Write("r") }, nil, "not a directory"},
		{"removed", func(a watchertest.Area) { a.Mkdir("r/d") }, func(a watchertest.Area) { a.Remove("r") }, "removed|does not exist"},
		{"moved away", func(a watchertest.Area) { a.Mkdir("r/d") }, func(a watchertest.Area) { a.Move("r", "s") }, "moved away|does not exist"},
		{"replaced", func(a watchertest.Area) { a.Mkdir("r/d", "s") },
			func(a watchertest.Area) {
				watchertest.Must(t, unix.Renameat2(unix.AT_FDCWD, a.Path("r"), unix.AT_FDCWD, a.Path("s"), unix.RENAME_EXCHANGE))
			}, "moved away|replaced"},
		{"its parent is moved", func(a watchertest.Area) { a.Mkdir("p/d"); watchertest.Must(t, os.Symlink("p/d", a.Path("r"))) },
			func(a watchertest.Area) { a.Move("p", "q") }, "does not exist"},
		{"its symlink leads elsewhere", func(a watchertest.Area) { a.Mkdir("p", "q"); watchertest.Must(t, os.Symlink("p", a.Path("r"))) },
			func(a watchertest.Area) { watchertest.Must(t, os.Symlink("q", a.Path("s"))); a.Move("s", "r") }, "replaced"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			watchertest.LeakCheck(t)
			a := watchertest.NewArea(t)
			if tc.setup != nil {
				tc.setup(a)
			}
			w := watchertest.Begin(t, quick().watch, a.Path("r"))
			if tc.op != nil {
				<-w.Watching
				tc.op(a)
			}
			<-w.Done
			if !sdk.IsRootLost(w.Err) || !regexp.MustCompile(tc.want).MatchString(w.Err.Error()) || !strings.Contains(w.Err.Error(), a.Path("r")) {
				t.Errorf("got %v", w.Err)
			}
		})
	}
}

// TestRootSymlink: the root may be a symlink; what is below it is never followed.
func TestRootSymlink(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("real/d", "other/e")
	watchertest.Must(t, os.Symlink("real", a.Path("r")))
	watchertest.Must(t, os.Symlink(a.Path("other"), a.Path("real/l")))
	w := watchertest.Start(t, quick().watch, a.Path("r"))
	w.Alive("", "d")
	watchesExactly(t, w, a.Path("real"), []string{"", "d"})
}

func TestExcludedAreNotWatched(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("keep/cache/x", "cache/y", "a/skip/b", "z/a/skip/b", "one", "m.d", "deep/1/2/3/in", "deep/1/2/out")
	patterns := []string{"cache/", "/a/skip", "*.d", "*.swp", "/deep/1/2/3", "/deeper/1/2/out"}
	w := watchertest.Start(t, quick().watch, a.Root, patterns...)
	watchesExactly(t, w, a.Root, []string{"", "keep", "a", "z", "z/a", "z/a/skip", "z/a/skip/b", "one",
		"deep", "deep/1", "deep/1/2", "deep/1/2/out"})

	mark := w.Mark()
	a.Write("cache/f", "keep/f.swp", "keep/cache/x/f", "a/skip/f")
	a.Mkdir("new/cache/x", "n.d")
	a.Move("one", "one.d") // now excluded
	a.Move("m.d", "m")     // no longer
	a.Mkdir("m/in")
	a.Move("z/a", "a2") // a pattern with several names sees the path
	a.Move("a", "q")    // and q/skip is not a/skip
	a.Move("a2", "a")   // and a/skip is excluded now
	a.Move("deep", "deeper")
	a.Write("last")
	w.Covers(mark, "one", "m/in", "q/skip/b", "last")
	watchesExactly(t, w, a.Root, []string{"", "keep", "z", "new", "m", "m/in", "q", "q/skip", "q/skip/b", "a",
		"deeper", "deeper/1", "deeper/1/2", "deeper/1/2/3", "deeper/1/2/3/in"})
	w.Alive("q/skip/b", "m/in", "new", "a", "deeper/1/2/3/in")
	f := watchertest.Filter(t, patterns)
	for _, c := range w.Since(mark) {
		if f.Excluded(c.Path, false) && c.Path != "a/skip" {
			t.Errorf("%+v is excluded", c)
		}
	}
}

// TestDeepTree: neither the depth of a tree nor the length of its paths is limited.
func TestDeepTree(t *testing.T) {
	watchertest.LeakCheck(t)
	root := t.TempDir()
	name := strings.Repeat("d", 100)
	const depth = 3 * maxHeld
	bottom := openDeep(t, root, slices.Repeat([]string{name}, depth)...)
	w := watchertest.Start(t, quick().watch, root)
	path := strings.Repeat(name+"/", depth)

	touch := func(dir int, name string) {
		t.Helper()
		fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_WRONLY, 0o644)
		watchertest.Must(t, err)
		unix.Close(fd)
	}
	mark := w.Mark()
	touch(bottom, "f")
	w.Reports(mark, path+"f")
	watchertest.Must(t, unix.Mkdirat(bottom, "more", 0o755))
	w.Reports(mark, path+"more")
	watchertest.Must(t, os.Rename(filepath.Join(root, name), filepath.Join(root, "n")))
	mark = w.Mark()
	touch(bottom, "g")
	w.Reports(mark, "n"+strings.TrimPrefix(path, name)+"g")
	unix.Close(bottom)
	if paths, reason := w.Blind(); len(paths) > 0 {
		t.Errorf("%d unwatched: %s", len(paths), reason)
	}
	watchertest.Must(t, w.End())
}

// openDeep makes the directories, one below the other, and opens the last one.
func openDeep(t *testing.T, root string, names ...string) int {
	t.Helper()
	fd, err := unix.Open(root, unix.O_PATH, 0)
	watchertest.Must(t, err)
	for _, name := range names {
		watchertest.Must(t, unix.Mkdirat(fd, name, 0o755))
		next, err := unix.Openat(fd, name, unix.O_PATH, 0)
		watchertest.Must(t, err)
		unix.Close(fd)
		fd = next
	}
	return fd
}

// TestRenameIsOneStep: what is below a renamed directory is not read again.
func TestRenameIsOneStep(t *testing.T) {
	a := watchertest.NewArea(t)
	for i := range 50 {
		a.Mkdir(fmt.Sprintf("d/%d/x", i))
	}
	w := watchertest.Start(t, quick().watch, a.Root)
	before := watchedInodes(t)
	mark := w.Mark()
	a.Move("d", "e")
	w.Covers(mark, "d", "e")
	w.Alive(a.Dirs()...)
	if after := watchedInodes(t); len(after) != len(before) {
		t.Errorf("%d watches, had %d", len(after), len(before))
	}
	for _, c := range w.Since(mark) {
		if strings.HasPrefix(c.Path, "e/") && !strings.Contains(c.Path, "canary") {
			t.Errorf("needless %+v", c)
		}
	}
}

// TestFewReports: one new tree is one report, with nothing more to wait for.
func TestFewReports(t *testing.T) {
	a := watchertest.NewArea(t)
	w := watchertest.Start(t, quick().watch, a.Root)
	a.Mkdir("out:d/e/f")
	a.Write("out:d/e/f/g", "out:d/h")
	a.Move("out:d", "d")
	w.Covers(0, "d/e/f/g")
	a.Write("end")
	w.Covers(0, "end")
	if got := w.Since(0)[0]; got != (sdk.Change{Path: "d", Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate | sdk.OpRename | sdk.OpClose}) {
		t.Errorf("got %+v", got)
	}
	for _, c := range w.Since(1) {
		if c.Path != "end" {
			t.Errorf("needless %+v", c)
		}
	}
}

// TestTwoRoots: watches of one process do not disturb each other, not even on the same root.
func TestTwoRoots(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	one, two := watchertest.Start(t, quick().watch, a.Root), watchertest.Start(t, quick().watch, a.Root)
	one.Alive("", "d")
	watchertest.Must(t, one.End())
	two.Alive("", "d")
	watchertest.Must(t, two.End())
}

// TestEndDuringWalk ends a watch that has not become ready.
func TestEndDuringWalk(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	for i := range 200 {
		a.Mkdir(fmt.Sprintf("%d/x", i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := watchInotify(ctx, a.Root, nil, nil, watchertest.NewRecorder()); err != nil {
		t.Error(err)
	}
}

// TestOpenDirectoryRemoved: a directory that is still in use when it is removed tells of its end late.
func TestOpenDirectoryRemoved(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d/e")
	w := watchertest.Start(t, quick().watch, a.Root)
	held, err := os.Open(a.Path("d"))
	watchertest.Must(t, err)
	a.Remove("d")
	a.Mkdir("d/e")
	w.Alive("d/e", "d", "")
	mark := w.Mark()
	held.Close()
	w.Alive("d/e", "d", "")
	if slices.ContainsFunc(w.Since(mark), watchertest.Whole) {
		t.Error("needless comparison of everything")
	}
	watchesExactly(t, w, a.Root, a.Dirs())
}

func TestHardLinkedWriteNamesTheNameUsed(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	a.Write("f")
	watchertest.Must(t, os.Link(a.Path("f"), a.Path("d/h")))
	w := watchertest.Start(t, quick().watch, a.Root)
	a.Write("d/h")
	w.Reports(0, "d/h")
}

func TestMmapWriteIsSeenOnClose(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Write("f")
	w := watchertest.Start(t, quick().watch, a.Root)
	f, err := os.OpenFile(a.Path("f"), os.O_RDWR, 0)
	watchertest.Must(t, err)
	mem, err := syscall.Mmap(int(f.Fd()), 0, 1, syscall.PROT_WRITE, syscall.MAP_SHARED)
	watchertest.Must(t, err)
	mem[0] = 'x'
	watchertest.Must(t, syscall.Munmap(mem))
	watchertest.Must(t, f.Close())
	w.Eventually(func() string {
		if c := w.Since(0); len(c) == 0 || c[0].Path != "f" || c[0].Ops&sdk.OpClose == 0 {
			return fmt.Sprintf("got %+v", c)
		}
		return ""
	})
}

// TestBackAfterOverflow: a directory that was not there when everything was walked, and comes back
// before it is given up, is read again.
func TestBackAfterOverflow(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d/e/f")
	gate := watchertest.NewGate()
	tn := quick()
	tn.beforeRead = gate.Pass
	tn.queueLimit = unix.SizeofInotifyEvent + 16 // one event
	tn.tidy = time.Hour
	w := watchertest.Start(t, tn.watch, a.Root)
	gate.Close()
	a.Write("wake")
	a.Move("d", "out:d")
	a.Write("more")
	gate.Open()
	w.Eventually(func() string {
		if !slices.ContainsFunc(w.Since(0), watchertest.Whole) {
			return "no comparison of everything"
		}
		return ""
	})
	mark := w.Mark()
	a.Move("out:d", "d")
	w.Covers(mark, "d/e/f/x")
	mark = w.Mark()
	watchertest.Must(t, os.Symlink("x", a.Path("d/e/f/l")))
	w.Reports(mark, "d/e/f/l")
}

// TestAwayAndBack: whoever looks at a file while its directory is away for a moment sees nothing there,
// so the directory's return is a reason to look at all of it.
func TestAwayAndBack(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	gate := watchertest.NewGate()
	tn := quick()
	tn.beforeRead = gate.Pass
	w := watchertest.Start(t, tn.watch, a.Root)
	gate.Close()
	a.Write("wake")
	a.Move("d", "e")
	a.Move("e", "d")
	mark := w.Mark()
	gate.Open()
	w.Covers(mark, "d/f")
}
