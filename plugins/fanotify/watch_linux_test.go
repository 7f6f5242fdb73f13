package fanotify

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

// TestKernelOverflow stops reading until the kernel's queue has overflowed.
func TestKernelOverflow(t *testing.T) {
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d/e", "old/e", "left/e")
	gate := newGate()
	tn := quick()
	tn.shortQueue = true
	tn.beforeRead = gate.pass
	w := start(t, tn.watch, a.root)
	w.alive(a.tree()...) // so that the paths are remembered
	gate.close()
	mark := w.mark()
	for i := range 20000 {
		a.write(fmt.Sprint("d/", i))
	}
	a.mv("old", "moved")
	a.mv("left", "out:left")
	a.mkdir("d/e/f")
	gate.open()
	w.prove()
	if !slices.ContainsFunc(w.since(mark), whole) {
		t.Error("no comparison of everything")
	}
	w.alive(a.tree()...)
	mark = w.mark()
	a.write("moved/e/quiet", "out:left/e/x")
	w.prove()
	w.named(mark, "moved/e/quiet")
	if slices.ContainsFunc(w.since(mark), whole) {
		t.Error("the overflow is not over")
	}
}

// TestQueueOverflow overflows the buffer of this process, many times.
func TestQueueOverflow(t *testing.T) {
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	tn := quick()
	tn.queueLimit = 300
	w := start(t, tn.watch, a.root)
	var want []string
	for i := range 500 {
		a.mkdir(fmt.Sprintf("%d/%d", i%7, i))
		a.write(fmt.Sprintf("%d/%d/f", i%7, i))
		want = append(want, fmt.Sprintf("%d/%d/f", i%7, i))
		if i%50 == 0 {
			w.prove()
			w.covered(0, want...)
		}
	}
	w.prove()
	w.covered(0, want...)
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
		want  string
	}{
		{"missing", nil, nil, "does not exist"},
		{"a file", func(a area) { a.write("r") }, nil, "not a directory"},
		{"removed", func(a area) { a.mkdir("r/d") }, func(a area) { a.rm("r") }, "does not exist"},
		{"removed and made again", func(a area) { a.mkdir("r/d") }, func(a area) { a.rm("r"); a.mkdir("r/d") }, ""}, // which of both is seen
		{"moved away", func(a area) { a.mkdir("r/d") }, func(a area) { a.mv("r", "s") }, "does not exist"},
		{"exchanged", func(a area) { a.mkdir("r/d", "s") },
			func(a area) {
				must(t, unix.Renameat2(unix.AT_FDCWD, a.path("r"), unix.AT_FDCWD, a.path("s"), unix.RENAME_EXCHANGE))
			}, "replaced"},
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
			if !sdk.IsRootLost(w.err) || !strings.Contains(w.err.Error(), tc.want) || !strings.Contains(w.err.Error(), a.path("r")) {
				t.Errorf("got %v", w.err)
			}
		})
	}
}

// TestRootLostIsNotProved: a barrier is not reached in a root that is another one by then, although no
// event tells of that.
func TestRootLostIsNotProved(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("p", "q")
	must(t, os.Symlink("p", a.path("r")))
	w := start(t, production.watch, a.path("r"))
	a.rm("r")
	must(t, os.Symlink("q", a.path("r")))
	w.ask(func() { t.Error("reached") })
	<-w.done
	if !sdk.IsRootLost(w.err) {
		t.Errorf("got %v", w.err)
	}
}

// TestRootSymlink: the root may be a symlink; what is below it is never followed.
func TestRootSymlink(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("real/d", "other/e")
	must(t, os.Symlink("real", a.path("r")))
	must(t, os.Symlink(a.path("other"), a.path("real/l")))
	w := start(t, quick().watch, a.path("r"))
	a.write("other/e/f")
	w.alive("", "d")
	w.only(0, "canary0", "d/canary0")
}

func TestExcluded(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("keep/cache/x", "cache/y", "a/skip/b", "z/a/skip/b", "one", "m.d", "deep/1/2/3/in", "deep/1/2/out")
	patterns := []string{"cache/", "/a/skip", "*.d", "*.swp", "/deep/1/2/3", "/deeper/1/2/out"}
	w := start(t, quick().watch, a.root, patterns...)
	a.write("cache/f", "cache/y/f", "keep/f.swp", "keep/cache/x/f", "a/skip/f", "a/skip/b/f")
	a.mkdir("keep/cache/n", "n.d/x")
	w.prove()
	w.only(0)

	a.write("z/a/skip/b/f", "keep/f")
	a.mv("one", "one.d") // now excluded
	a.mv("m.d", "m")     // no longer
	a.mv("z/a", "a2")    // a pattern with several names sees the path
	a.mv("a", "q")       // and q/skip is not a/skip
	a.mv("a2", "a")      // and a/skip is excluded now
	a.mv("deep", "deeper")
	a.write("a/skip/b/f", "deeper/1/2/out/f")
	w.prove()
	w.covered(0, "keep/f", "one", "m", "q/skip/b", "deeper/1/2/3/in")
	f := mustFilter(t, patterns)
	for _, c := range w.since(0) {
		if f.Excluded(c.Path, false) {
			t.Errorf("%v is excluded", c)
		}
	}
	w.alive("q/skip/b", "m", "a", "deeper/1/2/3/in")
}

// TestDeepTree: neither the depth of a tree nor the length of its paths is limited. What has too long a
// path for the kernel to tell is reported by way of a directory above it.
func TestDeepTree(t *testing.T) {
	leakCheck(t)
	root := t.TempDir()
	name := strings.Repeat("d", 100)
	const depth = 100
	bottom := openDeep(t, root, slices.Repeat([]string{name}, depth)...)
	defer unix.Close(bottom)
	w := start(t, quick().watch, root)
	path := strings.Repeat(name+"/", depth)
	touch := func(name string) {
		t.Helper()
		fd, err := unix.Openat(bottom, name, unix.O_CREAT|unix.O_WRONLY, 0o644)
		must(t, err)
		unix.Close(fd)
	}
	for _, file := range []string{"f", "g"} {
		mark := w.mark()
		touch(file)
		w.prove()
		w.covered(mark, path+file)
		if c := w.since(mark)[0]; len(c.Path) < 3500 {
			t.Errorf("%d bytes of %d are named", len(c.Path), len(path))
		}
	}
	must(t, os.Rename(filepath.Join(root, name), filepath.Join(root, "n")))
	w.prove()
	mark := w.mark()
	touch("h")
	w.prove()
	w.covered(mark, "n"+strings.TrimPrefix(path, name)+"h")
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

// TestFewReports: one new tree is one report, with nothing more to wait for.
func TestFewReports(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	w := start(t, quick().watch, a.root)
	a.mkdir("out:d/e/f")
	a.write("out:d/e/f/g", "out:d/h")
	w.prove() // or they are found where they are then
	a.mv("out:d", "d")
	w.prove()
	if got := w.since(0)[0]; got != (sdk.Change{Path: "d", Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate | sdk.OpRename | sdk.OpClose}) {
		t.Errorf("got %+v", got)
	}
	w.only(0, "d")
}

// TestTwoRoots: watches of one process do not disturb each other, not even on the same root.
func TestTwoRoots(t *testing.T) {
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d")
	one, two, inner := start(t, quick().watch, a.root), start(t, quick().watch, a.root), start(t, quick().watch, a.path("d"))
	for range 100 {
		one.alive("", "d")
		inner.alive("")
		two.alive("d")
	}
	must(t, one.end())
	two.alive("", "d")
	must(t, two.end())
	must(t, inner.end())
}

func TestEndBeforeReady(t *testing.T) {
	leakCheck(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := watchFanotify(ctx, t.TempDir(), nil, nil, newRecorder()); err != nil {
		t.Error(err)
	}
}

// TestNoise: what happens elsewhere in the file system is not reported, and what this process does is
// not either.
func TestNoise(t *testing.T) {
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d", "out:o")
	w := start(t, quick().watch, a.root)
	for i := range 100 {
		a.write("out:f", "out:o/f")
		a.mkdir(fmt.Sprintf("out:o/%d", i))
		a.mv(fmt.Sprintf("out:o/%d", i), fmt.Sprintf("out:%d", i))
	}
	w.prove()
	w.only(0)
	must(t, w.end())

	w = start(t, production.watch, a.root)
	a.write("d/own")
	must(t, exec.Command("touch", a.path("d/other")).Run())
	w.prove()
	w.only(0, "d/other")
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
	w.prove()
	if c := w.since(0); len(c) != 1 || c[0].Path != "f" || c[0].Ops != sdk.OpClose {
		t.Errorf("got %v", c)
	}
}

// TestRemovedButOpen: a file that has no name any more may be written to for ever.
func TestRemovedButOpen(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d")
	w := start(t, quick().watch, a.root)
	for _, name := range []string{"f", "d/f"} {
		f, err := os.Create(a.path(name))
		must(t, err)
		defer f.Close()
		a.rm("f", "d")
		w.prove()
		mark := w.mark()
		for range 10 {
			_, err = f.WriteString("more")
			must(t, err)
			w.prove()
		}
		w.only(mark)
		a.mkdir("d")
	}
}

// TestTemporaryFile: a file that never had a name is nobody's business, until it gets one.
func TestTemporaryFile(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	w := start(t, quick().watch, a.root)
	fd, err := unix.Open(a.root, unix.O_TMPFILE|unix.O_WRONLY, 0o600)
	must(t, err)
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte("x"))
	must(t, err)
	w.prove()
	w.only(0)
	must(t, unix.Linkat(unix.AT_FDCWD, link(fd), unix.AT_FDCWD, a.path("f"), unix.AT_SYMLINK_FOLLOW))
	w.prove()
	w.only(0, "f")
}

// TestRenameChains renames directories on and on while their paths are remembered.
func TestRenameChains(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("0/1/2/3/4/5")
	w := start(t, quick().watch, a.root)
	at := "0"
	for i := range 200 {
		w.alive(at, at+"/1/2/3", at+"/1/2/3/4/5")
		to := fmt.Sprint("n", i%3)
		if i%5 == 4 {
			to = "out:o"
		}
		mark := w.mark()
		a.mv(at, to)
		if to == "out:o" {
			a.write("out:o/1/2/3/4/5/away")
			to = "back"
			a.mv("out:o", to)
		}
		a.write(to + "/1/2/x")
		w.prove()
		w.covered(mark, at, to+"/1/2/3/4/5/away", to+"/1/2/x")
		at = to
	}
	must(t, w.end())
}

// TestBurst: the kernel's queue is read at once, however much there is.
func TestBurst(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	const dirs, files = 50, 1000
	for d := range dirs {
		a.mkdir(fmt.Sprint("d", d))
	}
	w := start(t, quick().watch, a.root)
	for f := range files {
		for d := range dirs {
			fd, err := unix.Open(fmt.Sprintf("%s/d%d/%d", a.root, d, f), unix.O_CREAT|unix.O_WRONLY, 0o644)
			must(t, err)
			unix.Close(fd)
		}
	}
	w.prove()
	seen := make(map[string]bool)
	for _, c := range w.since(0) {
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
	a := area{t, t.TempDir(), t.TempDir()}
	w := start(t, quick().watch, "/", "/proc", "/sys", "/dev")
	a.mkdir("d/e")
	w.prove()
	rel := strings.TrimPrefix(a.root, "/")
	w.covered(0, rel+"/d/e")
	w.alive(rel, rel+"/d", rel+"/d/e")
	must(t, w.end())
}
