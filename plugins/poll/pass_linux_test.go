package poll

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/isolate"
)

// TestHints: what is reported, path by path, and nothing else.
func TestHints(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d", "gone/deep")
	a.Write("d/written", "d/mode", "d/removed", "d/kept", "gone/deep/x", "kind")
	tr, r := mustTree(t, a.Root)
	settle(t, tr, r)
	a.Write("d/written", "d/new")
	a.Mkdir("made/deep")
	a.Write("made/deep/x")
	watchertest.Must(t, os.Chmod(a.Path("d/mode"), 0o600))
	a.Remove("d/removed", "gone", "kind")
	a.Mkdir("kind/x")
	mustPass(t, tr, false)
	want := map[string]sdk.Change{
		"":          {Path: "", Ops: sdk.OpAttrib},
		"d":         {Path: "d", Ops: sdk.OpAttrib},
		"d/written": {Path: "d/written", Ops: sdk.OpWrite | sdk.OpClose},
		"d/new":     {Path: "d/new", Ops: sdk.OpCreate | sdk.OpClose},
		"d/mode":    {Path: "d/mode", Ops: sdk.OpAttrib},
		"d/removed": {Path: "d/removed", Ops: sdk.OpRemove},
		"gone":      {Path: "gone", Ops: sdk.OpRemove},
		"made":      {Path: "made", Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate | sdk.OpClose},
		"kind":      {Path: "kind", Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate | sdk.OpClose},
	}
	got := r.take()
	for _, c := range got {
		if want[c.Path] != c {
			t.Errorf("%q: got %+v, want %+v", c.Path, c, want[c.Path])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d changes, want %d: %+v", len(got), len(want), got)
	}
	settle(t, tr, r)
}

// TestTick: on a file system whose times move with the timer, a file that is written again in the tick
// in which it was looked at is reported again, although nothing tells the two states apart.
func TestTick(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	dir := t.TempDir()
	watchertest.Must(t, unix.Mount("none", dir, "ramfs", 0, ""))
	t.Cleanup(func() { unmountAll(dir) })
	a := watchertest.Area{T: t, Root: dir}
	a.Write("f")
	tr, r := mustTree(t, dir)
	settle(t, tr, r)
	hidden := 0
	for try := range 2000 {
		watchertest.Must(t, os.WriteFile(a.Path("f"), fmt.Appendf(nil, "%06d", try), 0o644))
		light := try%2 == 0
		mustPass(t, tr, light)
		var first, second unix.Stat_t
		watchertest.Must(t, unix.Stat(a.Path("f"), &first))
		watchertest.Must(t, os.WriteFile(a.Path("f"), fmt.Appendf(nil, "%06d", try+500000), 0o644))
		watchertest.Must(t, unix.Stat(a.Path("f"), &second))
		r.take()
		if first.Mtim == second.Mtim && first.Ctim == second.Ctim {
			hidden++
		}
		mustPass(t, tr, light)
		named(t, r.take(), "f", sdk.ScopePath)
		if t.Failed() || hidden >= 20 {
			break
		}
	}
	if hidden < 20 {
		t.Errorf("%d writes left no trace: nothing was tested", hidden)
	}
	settle(t, tr, r)
}

// TestLight: a light pass finds what changes directories and hot files, at once; a full one the rest.
func TestLight(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d/e/f", "o")
	a.Write("d/e/f/x", "d/y", "o/z", "o/rest")
	tr, r := mustTree(t, a.Root)
	settle(t, tr, r)
	light := func() []sdk.Change {
		mustPass(t, tr, true)
		return r.take()
	}
	quiet(t, light())

	a.Write("d/e/f/x")
	named(t, light(), "d/e/f/x", sdk.ScopePath) // hot, as all files that were just made

	tr.hotFor = -time.Hour // all files are cold
	settle(t, tr, r)
	a.Write("d/e/f/x")
	quiet(t, light())
	mustPass(t, tr, false)
	named(t, r.take(), "d/e/f/x", sdk.ScopePath)
	settle(t, tr, r)

	eventually(t, func() string { // once the machine is fast enough to look within the tick of the write
		a.Write("d/e/f/x")
		mustPass(t, tr, false)
		r.take()
		if covered(a.Root, "d/e/f/x", light()) {
			return ""
		}
		return "a file that may have changed in the tick it was looked at is not looked at again"
	})
	settle(t, tr, r)

	a.Write("d/e/f/new")
	a.Mkdir("o/n/m")
	a.Remove("d/y")
	changes := light()
	named(t, changes, "d/e/f/new", sdk.ScopePath)
	named(t, changes, "o/n", sdk.ScopeSubtree)
	named(t, changes, "d/y", sdk.ScopePath)
	settle(t, tr, r)
	a.Move("d/e/f", "o/n/m/f")
	changes = light()
	named(t, changes, "d/e/f", sdk.ScopePath)
	named(t, changes, "o/n/m/f", sdk.ScopeSubtree)
	settle(t, tr, r)
	watchertest.Must(t, os.Chmod(a.Path("o/n/m/f"), 0o700))
	named(t, light(), "o/n/m/f", sdk.ScopePath)
	a.Remove("o")
	named(t, light(), "o", sdk.ScopePath)
}

// TestExcluded: excluded directories are never opened or read, whatever happens to them.
func TestExcluded(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("skip/in", "d/skip/in", "d/kept")
	a.Write("skip/f", "d/skip/in/f", "d/x.tmp", "d/y", "skip.txt")
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	watchertest.Must(t, err)
	defer unix.Close(fd)
	for _, dir := range []string{"skip", "skip/in", "d/skip", "d/skip/in"} {
		_, err := unix.InotifyAddWatch(fd, a.Path(dir), unix.IN_OPEN|unix.IN_ACCESS|unix.IN_CLOSE_NOWRITE)
		watchertest.Must(t, err)
	}
	read := func() int {
		n, err := unix.Read(fd, make([]byte, 4096))
		if err == unix.EAGAIN {
			return 0
		}
		watchertest.Must(t, err)
		return n
	}
	w := start(t, a.Root, rarely(), "skip/", "*.tmp")
	w.rest()
	if n := read(); n != 0 {
		t.Errorf("excluded directories were opened: %d bytes of events", n)
	}
	a.Write("skip/new", "d/skip/in/new", "d/x.tmp", "d/z.tmp")
	a.Mkdir("d/kept/skip/in")
	read()
	changes := w.after()
	quiet(t, changes, "", "d", "d/kept")
	if n := read(); n != 0 {
		t.Errorf("excluded directories were opened: %d bytes of events", n)
	}
	w.rest()
	// A file of the name is not excluded. When it becomes a directory it has left the tree.
	a.Remove("skip")
	a.Write("skip")
	named(t, w.after(), "skip", sdk.ScopePath)
	w.rest()
	a.Remove("skip")
	a.Mkdir("skip/new")
	changes = w.after()
	named(t, changes, "skip", sdk.ScopePath)
	quiet(t, changes, "", "skip")
	watchertest.Must(t, w.end())
}

// TestManyEntries: a large directory is looked at by several at once.
func TestManyEntries(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	var want []string
	for i := range 20 * block {
		name := fmt.Sprintf("f%d", i)
		watchertest.Must(t, os.WriteFile(a.Path(name), nil, 0o644))
		if i%97 == 0 {
			want = append(want, name)
		}
	}
	tr, r := mustTree(t, a.Root)
	settle(t, tr, r)
	for i, name := range want {
		if i%2 == 0 {
			a.Remove(name)
		} else {
			a.Write(name)
		}
	}
	mustPass(t, tr, false)
	var got []string
	for _, c := range r.take() {
		if c.Path != "" {
			got = append(got, c.Path)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %d, want %d: %q", len(got), len(want), got)
	}
}

// TestManyRemoved: past a bound the whole root is reported.
func TestManyRemoved(t *testing.T) {
	p := newPass(t.Context(), newTree("/", nil, nil, newRecorder()), false)
	for i := range maxLate + 10 {
		p.later(fmt.Sprint(i), sdk.ScopePath, sdk.OpRemove)
	}
	p.sendLate()
	got := p.tree.reporter.(*recorder).take()
	if len(got) != 1 || got[0].Path != "" || got[0].Scope != sdk.ScopeSubtree {
		t.Errorf("%d changes", len(got))
	}
}

// TestManyOpen: in a tree with more directories in directories than are kept open nothing is missed, and
// the open ones are few.
func TestManyOpen(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	deep := strings.Repeat("d/", 2*maxHeld)
	a.Mkdir(deep)
	for at := range 2 * maxHeld {
		for _, beside := range strings.Split("abcefghi", "") { // most likely some of them are visited after d
			a.Mkdir(filepath.Join(strings.Repeat("d/", at), beside))
		}
	}
	tr, r := mustTree(t, a.Root)
	settle(t, tr, r)
	a.Write(deep+"f", "e/f")
	before := len(watchertest.OpenFiles())
	var lists atomic.Int32
	tr.system.list = func(f folder, buf []byte, add func([]byte, uint16)) error {
		if lists.Add(1)%32 == 0 {
			// Each worker has one open beside those that are kept, and perhaps two more on its way.
			if n := len(watchertest.OpenFiles()) - before; n > maxHeld+4*maxLocalWorkers {
				t.Errorf("%d files are open", n)
			}
		}
		return f.list(buf, add)
	}
	mustPass(t, tr, false)
	changes := r.take()
	named(t, changes, deep+"f", sdk.ScopePath)
	named(t, changes, "e/f", sdk.ScopePath)
}

// TestAppending: a file that is appended to all the time is reported in every pass.
func TestAppending(t *testing.T) {
	a := watchertest.NewArea(t)
	f, err := os.Create(a.Path("log"))
	watchertest.Must(t, err)
	defer f.Close()
	w := start(t, a.Root, rarely())
	for range 50 {
		_, err := f.WriteString("line\n")
		watchertest.Must(t, err)
		named(t, w.after(), "log", sdk.ScopePath)
	}
}

// TestInterval: changes are found without being asked for.
func TestInterval(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	w := start(t, a.Root, &config{Interval: minInterval, MaxLoad: "50%"})
	for i := range 20 {
		name := fmt.Sprintf("f%d", i)
		a.Write(name)
		eventually(t, func() string {
			if covered(a.Root, name, w.take()) {
				return ""
			}
			return name + " is not reported"
		})
	}
	watchertest.Must(t, w.end())
}
