package fanotify

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
)

// TestKernelOverflow stops reading until the kernel's queue has overflowed.
func TestKernelOverflow(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	a.Mkdir("d/e", "old/e", "left/e")
	gate := watchertest.NewGate()
	tn := quick()
	tn.shortQueue = true
	tn.beforeRead = gate.Pass
	w := watchertest.Start(t, tn.watch, a.Root)
	w.Alive(a.Dirs()...) // so that the paths are remembered
	gate.Close()
	mark := w.Mark()
	for i := range 20000 {
		a.Write(fmt.Sprint("d/", i))
	}
	a.Move("old", "moved")
	a.Move("left", "out:left")
	a.Mkdir("d/e/f")
	gate.Open()
	w.Prove()
	if !slices.ContainsFunc(w.Since(mark), watchertest.Whole) {
		t.Error("no comparison of everything")
	}
	w.Alive(a.Dirs()...)
	mark = w.Mark()
	a.Write("moved/e/quiet", "out:left/e/x")
	w.Prove()
	w.Named(mark, "moved/e/quiet")
	if slices.ContainsFunc(w.Since(mark), watchertest.Whole) {
		t.Error("the overflow is not over")
	}
}

// TestQueueOverflow overflows the buffer of this process, many times.
func TestQueueOverflow(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	tn := quick()
	tn.queueLimit = 300
	w := watchertest.Start(t, tn.watch, a.Root)
	var want []string
	for i := range 500 {
		a.Mkdir(fmt.Sprintf("%d/%d", i%7, i))
		a.Write(fmt.Sprintf("%d/%d/f", i%7, i))
		want = append(want, fmt.Sprintf("%d/%d/f", i%7, i))
		if i%50 == 0 {
			w.Prove()
			w.Covered(0, want...)
		}
	}
	w.Prove()
	w.Covered(0, want...)
}

func TestRootLost(t *testing.T) {
	for _, tc := range []struct {
		name  string
		setup func(a watchertest.Area)
		op    func(a watchertest.Area)
		want  string
	}{
		{"missing", nil, nil, "does not exist"},
		{"a file", func(a watchertest.Area) { a.Write("r") }, nil, "not a directory"},
		{"removed", func(a watchertest.Area) { a.Mkdir("r/d") }, func(a watchertest.Area) { a.Remove("r") }, "does not exist"},
		{"removed and made again", func(a watchertest.Area) { a.Mkdir("r/d") }, func(a watchertest.Area) { a.Remove("r"); a.Mkdir("r/d") }, ""}, // which of both is seen
		{"moved away", func(a watchertest.Area) { a.Mkdir("r/d") }, func(a watchertest.Area) { a.Move("r", "s") }, "does not exist"},
		{"exchanged", func(a watchertest.Area) { a.Mkdir("r/d", "s") },
			func(a watchertest.Area) {
				watchertest.Must(t, unix.Renameat2(unix.AT_FDCWD, a.Path("r"), unix.AT_FDCWD, a.Path("s"), unix.RENAME_EXCHANGE))
			}, "replaced"},
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
			if !sdk.IsRootLost(w.Err) || !strings.Contains(w.Err.Error(), tc.want) || !strings.Contains(w.Err.Error(), a.Path("r")) {
				t.Errorf("got %v", w.Err)
			}
		})
	}
}

// TestRootLostIsNotProved: a barrier is not reached in a root that is another one by then, although no
// event tells of that.
func TestRootLostIsNotProved(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("p", "q")
	watchertest.Must(t, os.Symlink("p", a.Path("r")))
	w := watchertest.Start(t, production.watch, a.Path("r"))
	a.Remove("r")
	watchertest.Must(t, os.Symlink("q", a.Path("r")))
	w.Ask(func() { t.Error("reached") })
	<-w.Done
	if !sdk.IsRootLost(w.Err) {
		t.Errorf("got %v", w.Err)
	}
}

// TestRootSymlink: the root may be a symlink; what is below it is never followed.
func TestRootSymlink(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("real/d", "other/e")
	watchertest.Must(t, os.Symlink("real", a.Path("r")))
	watchertest.Must(t, os.Symlink(a.Path("other"), a.Path("real/l")))
	w := watchertest.Start(t, quick().watch, a.Path("r"))
	a.Write("other/e/f")
	w.Alive("", "d")
	w.Only(0, "canary0", "d/canary0")
}

func TestExcluded(t *testing.T) { watchertest.Excluded(t, quick().watch) }

func TestExcludedAndMoved(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("keep/cache/x", "cache/y", "a/skip/b", "z/a/skip/b", "one", "m.d", "deep/1/2/3/in", "deep/1/2/out")
	patterns := []string{"cache/", "/a/skip", "*.d", "*.swp", "/deep/1/2/3", "/deeper/1/2/out"}
	w := watchertest.Start(t, quick().watch, a.Root, patterns...)
	a.Write("cache/f", "cache/y/f", "keep/f.swp", "keep/cache/x/f", "a/skip/f", "a/skip/b/f")
	a.Mkdir("keep/cache/n", "n.d/x")
	w.Prove()
	w.Only(0, "", "keep") // have a new modification time

	a.Write("z/a/skip/b/f", "keep/f")
	a.Move("one", "one.d") // now excluded
	a.Move("m.d", "m")     // no longer
	a.Move("z/a", "a2")    // a pattern with several names sees the path
	a.Move("a", "q")       // and q/skip is not a/skip
	a.Move("a2", "a")      // and a/skip is excluded now
	a.Move("deep", "deeper")
	a.Write("a/skip/b/f", "deeper/1/2/out/f")
	w.Prove()
	w.Covered(0, "keep/f", "one", "m", "q/skip/b", "deeper/1/2/3/in")
	f := watchertest.Filter(t, patterns)
	for _, c := range w.Since(0) {
		if f.Excluded(c.Path, false) {
			t.Errorf("%v is excluded", c)
		}
	}
	w.Alive("q/skip/b", "m", "a", "deeper/1/2/3/in")
}

// TestDeepTree: neither the depth of a tree nor the length of its paths is limited. What has too long a
// path for the kernel to tell is reported by way of a directory above it.
func TestDeepTree(t *testing.T) {
	watchertest.LeakCheck(t)
	root := t.TempDir()
	name := strings.Repeat("d", 100)
	const depth = 100
	bottom := openDeep(t, root, slices.Repeat([]string{name}, depth)...)
	defer unix.Close(bottom)
	w := watchertest.Start(t, quick().watch, root)
	path := strings.Repeat(name+"/", depth)
	touch := func(name string) {
		t.Helper()
		fd, err := unix.Openat(bottom, name, unix.O_CREAT|unix.O_WRONLY, 0o644)
		watchertest.Must(t, err)
		unix.Close(fd)
	}
	for _, file := range []string{"f", "g"} {
		mark := w.Mark()
		touch(file)
		w.Prove()
		w.Covered(mark, path+file)
		if c := w.Since(mark)[0]; len(c.Path) < 3500 {
			t.Errorf("%d bytes of %d are named", len(c.Path), len(path))
		}
	}
	watchertest.Must(t, os.Rename(filepath.Join(root, name), filepath.Join(root, "n")))
	w.Prove()
	mark := w.Mark()
	touch("h")
	w.Prove()
	w.Covered(mark, "n"+strings.TrimPrefix(path, name)+"h")
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

// TestFewReports: one new tree is one report, with nothing more to wait for.
func TestFewReports(t *testing.T) {
	a := watchertest.NewArea(t)
	w := watchertest.Start(t, quick().watch, a.Root)
	a.Mkdir("out:d/e/f")
	a.Write("out:d/e/f/g", "out:d/h")
	w.Prove() // or they are found where they are then
	a.Move("out:d", "d")
	w.Prove()
	if got := w.Since(0)[0]; got != (sdk.Change{Path: "d", Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate | sdk.OpRename | sdk.OpClose}) {
		t.Errorf("got %+v", got)
	}
	w.Only(0, "d")
}

// TestTwoRoots: watches of one process do not disturb each other, not even on the same root.
func TestTwoRoots(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	one, two, inner := watchertest.Start(t, quick().watch, a.Root), watchertest.Start(t, quick().watch, a.Root), watchertest.Start(t, quick().watch, a.Path("d"))
	for range 100 {
		one.Alive("", "d")
		inner.Alive("")
		two.Alive("d")
	}
	watchertest.Must(t, one.End())
	two.Alive("", "d")
	watchertest.Must(t, two.End())
	watchertest.Must(t, inner.End())
}

func TestEndBeforeReady(t *testing.T) {
	watchertest.LeakCheck(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := watchFanotify(ctx, t.TempDir(), nil, nil, watchertest.NewRecorder()); err != nil {
		t.Error(err)
	}
}

// TestNoise: what happens elsewhere in the file system is not reported, and what this process does is
// not either.
func TestNoise(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	a.Mkdir("d", "out:o")
	w := watchertest.Start(t, quick().watch, a.Root)
	for i := range 100 {
		a.Write("out:f", "out:o/f")
		a.Mkdir(fmt.Sprintf("out:o/%d", i))
		a.Move(fmt.Sprintf("out:o/%d", i), fmt.Sprintf("out:%d", i))
	}
	w.Prove()
	w.Only(0)
	watchertest.Must(t, w.End())

	w = watchertest.Start(t, production.watch, a.Root)
	a.Write("d/own")
	watchertest.Must(t, exec.Command("touch", a.Path("d/other")).Run())
	w.Prove()
	w.Only(0, "d/other")
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
	w.Prove()
	if c := w.Since(0); len(c) != 1 || c[0].Path != "f" || c[0].Ops != sdk.OpClose {
		t.Errorf("got %v", c)
	}
}

// TestRemovedButOpen: a file that has no name any more may be written to for ever.
func TestRemovedButOpen(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	w := watchertest.Start(t, quick().watch, a.Root)
	for _, name := range []string{"f", "d/f"} {
		f, err := os.Create(a.Path(name))
		watchertest.Must(t, err)
		defer f.Close()
		a.Remove("f", "d")
		w.Prove()
		mark := w.Mark()
		for range 10 {
			_, err = f.WriteString("more")
			watchertest.Must(t, err)
			w.Prove()
		}
		w.Only(mark)
		a.Mkdir("d")
	}
}

// TestTemporaryFile: a file that never had a name is nobody's business, until it gets one.
func TestTemporaryFile(t *testing.T) {
	a := watchertest.NewArea(t)
	w := watchertest.Start(t, quick().watch, a.Root)
	fd, err := unix.Open(a.Root, unix.O_TMPFILE|unix.O_WRONLY, 0o600)
	watchertest.Must(t, err)
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte("x"))
	watchertest.Must(t, err)
	w.Prove()
	w.Only(0)
	watchertest.Must(t, unix.Linkat(unix.AT_FDCWD, link(fd), unix.AT_FDCWD, a.Path("f"), unix.AT_SYMLINK_FOLLOW))
	w.Prove()
	w.Only(0, "f")
}

// TestRenameChains renames directories on and on while their paths are remembered.
func TestRenameChains(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("0/1/2/3/4/5")
	w := watchertest.Start(t, quick().watch, a.Root)
	at := "0"
	for i := range 200 {
		w.Alive(at, at+"/1/2/3", at+"/1/2/3/4/5")
		to := fmt.Sprint("n", i%3)
		if i%5 == 4 {
			to = "out:o"
		}
		mark := w.Mark()
		a.Move(at, to)
		if to == "out:o" {
			a.Write("out:o/1/2/3/4/5/away")
			to = "back"
			a.Move("out:o", to)
		}
		a.Write(to + "/1/2/x")
		w.Prove()
		w.Covered(mark, at, to+"/1/2/3/4/5/away", to+"/1/2/x")
		at = to
	}
	watchertest.Must(t, w.End())
}

// TestBurst: the kernel's queue is read at once, however much there is.
func TestBurst(t *testing.T) {
	a := watchertest.NewArea(t)
	const dirs, files = 50, 1000
	for d := range dirs {
		a.Mkdir(fmt.Sprint("d", d))
	}
	w := watchertest.Start(t, quick().watch, a.Root)
	for f := range files {
		for d := range dirs {
			fd, err := unix.Open(fmt.Sprintf("%s/d%d/%d", a.Root, d, f), unix.O_CREAT|unix.O_WRONLY, 0o644)
			watchertest.Must(t, err)
			unix.Close(fd)
		}
	}
	w.Prove()
	seen := make(map[string]bool)
	for _, c := range w.Since(0) {
		seen[c.Path] = true
	}
	for d := range dirs {
		for f := range files {
			if p := fmt.Sprintf("d%d/%d", d, f); !seen[p] {
				t.Fatalf("%s is missing", p)
			}
		}
	}
	if len(seen) != dirs*files {
		t.Errorf("%d paths were reported", len(seen))
	}
}

// TestWholeSystem: the root may be that of the whole system.
func TestWholeSystem(t *testing.T) {
	a := watchertest.NewArea(t)
	w := watchertest.Start(t, quick().watch, "/", "/proc", "/sys", "/dev")
	a.Mkdir("d/e")
	w.Prove()
	rel := strings.TrimPrefix(a.Root, "/")
	w.Covered(0, rel+"/d/e")
	w.Alive(rel, rel+"/d", rel+"/d/e")
	watchertest.Must(t, w.End())
}
