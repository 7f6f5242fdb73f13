package inotify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// recorder is a Reporter that remembers everything.
type recorder struct {
	ready chan struct{}
	wake  chan struct{} // capacity 1

	mu      sync.Mutex // guards all below
	changes []sdk.Change
	paths   []string // as last reported as unwatched
	reason  string
	notices int // calls of Unwatched
}

func newRecorder() *recorder {
	return &recorder{ready: make(chan struct{}), wake: make(chan struct{}, 1)}
}

func (r *recorder) Ready() { close(r.ready) }

func (r *recorder) Change(c sdk.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *recorder) Unwatched(paths []string, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths, r.reason = slices.Clone(paths), reason
	r.notices++
}

// mark returns where the changes from now on begin.
func (r *recorder) mark() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.changes)
}

func (r *recorder) since(mark int) []sdk.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.changes[mark:])
}

func (r *recorder) unwatched() ([]string, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paths, r.reason
}

// watched is a running watch of a directory.
type watched struct {
	*recorder
	t    testing.TB
	root string
	stop context.CancelFunc
	err  error
	done chan struct{} // closed when err is set

	barriers chan sdk.Barrier
}

// start watches root with b until the test ends.
func start(t testing.TB, b backend, root string, exclude ...string) *watched {
	t.Helper()
	w := begin(t, b, root, exclude...)
	select {
	case <-w.ready:
	case <-w.done:
		t.Fatalf("watch ended: %v", w.err)
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	return w
}

// begin is start without waiting.
func begin(t testing.TB, b backend, root string, exclude ...string) *watched {
	t.Helper()
	f, err := filter.Parse(exclude)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &watched{recorder: newRecorder(), t: t, root: root, stop: cancel, done: make(chan struct{}), barriers: make(chan sdk.Barrier)}
	go func() {
		defer close(w.done)
		w.err = b(ctx, root, f, w.barriers, w.recorder)
	}()
	t.Cleanup(func() {
		cancel()
		<-w.done
	})
	return w
}

// end stops the watch and returns what it returned.
func (w *watched) end() error {
	w.stop()
	<-w.done
	return w.err
}

// eventually waits until ok returns "", which otherwise says what is missing.
func (w *watched) eventually(ok func() string) {
	w.t.Helper()
	var missing string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if missing = ok(); missing == "" {
			return
		}
	}
	w.t.Fatal(missing)
}

// covers waits until the changes since mark cover the paths.
func (w *watched) covers(mark int, paths ...string) {
	w.t.Helper()
	w.eventually(func() string {
		changes := w.since(mark)
		for _, p := range paths {
			if !slices.ContainsFunc(changes, func(c sdk.Change) bool { return c.Covers(p) }) {
				return fmt.Sprintf("%q not covered by %+v", p, changes)
			}
		}
		return ""
	})
}

// covered checks that the changes since mark cover the paths.
func (w *watched) covered(mark int, paths ...string) {
	w.t.Helper()
	changes := w.since(mark)
	for _, p := range paths {
		if !slices.ContainsFunc(changes, func(c sdk.Change) bool { return c.Covers(p) }) {
			w.t.Fatalf("%q not covered by %v", p, changes)
		}
	}
}

// reports waits until changes since mark name exactly the paths.
func (w *watched) reports(mark int, paths ...string) {
	w.t.Helper()
	w.eventually(func() string {
		changes := w.since(mark)
		for _, p := range paths {
			if !slices.ContainsFunc(changes, func(c sdk.Change) bool { return c.Path == p }) {
				return fmt.Sprintf("%q not named in %+v", p, changes)
			}
		}
		return ""
	})
}

// alive proves that every one of the directories is watched: new files in it are reported under their
// right path, at the latest when what was reported as a whole subtree is over.
func (w *watched) alive(dirs ...string) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for len(dirs) > 0 {
		mark := w.mark()
		file := fmt.Sprintf("canary%d", mark)
		for _, dir := range dirs {
			must(w.t, os.WriteFile(filepath.Join(w.root, dir, file), nil, 0o644))
		}
		for again := time.Now().Add(100 * time.Millisecond); len(dirs) > 0 && time.Now().Before(again); time.Sleep(time.Millisecond) {
			named := make(map[string]bool)
			for _, c := range w.since(mark) {
				named[c.Path] = true
			}
			dirs = slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool { return named[relpath.Join(dir, file)] })
		}
		if len(dirs) > 0 && time.Now().After(deadline) {
			w.t.Fatalf("new files in %q are not reported", dirs)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// leakCheck fails the test when goroutines of this package or open files are left at its end.
func leakCheck(t *testing.T) {
	t.Helper()
	before := openFiles(t)
	t.Cleanup(func() {
		var stacks, files string
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			buf := make([]byte, 1<<20)
			stacks = string(buf[:runtime.Stack(buf, true)])
			files = ""
			if after := openFiles(t); len(after) > len(before) {
				files = fmt.Sprintf("%v", after)
			}
			if strings.Count(stacks, "inotify.(*watch)")+strings.Count(stacks, "inotify.(*portable)") == 0 && files == "" {
				return
			}
		}
		t.Errorf("left behind: files %s, goroutines\n%s", files, stacks)
	})
}

func openFiles(t *testing.T) (open []string) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			open = append(open, to)
		}
	}
	return open
}

func mustFilter(t testing.TB, exclude []string) *filter.Filter {
	t.Helper()
	f, err := filter.Parse(exclude)
	must(t, err)
	return f
}
