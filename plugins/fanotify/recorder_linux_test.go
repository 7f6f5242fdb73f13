package fanotify

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

// backend is what watches a root.
type backend func(ctx context.Context, root string, exclude *filter.Filter, asked <-chan sdk.Barrier, r sdk.Reporter) error

// quick is the production's tuning for tests: changes are made by this process.
func quick() tuning {
	t := production
	t.own = true
	t.check = 20 * time.Millisecond
	return t
}

// whole is the change that puts everything in doubt.
func whole(c sdk.Change) bool { return c.Path == "" && c.Scope == sdk.ScopeSubtree }

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
	f := mustFilter(t, exclude)
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

// named checks that changes since mark name the paths.
func (w *watched) named(mark int, paths ...string) {
	w.t.Helper()
	changes := w.since(mark)
	for _, p := range paths {
		if !slices.ContainsFunc(changes, func(c sdk.Change) bool { return c.Path == p }) {
			w.t.Errorf("%q not named in %v", p, changes)
		}
	}
}

// only checks that changes since mark name the paths, and no others.
func (w *watched) only(mark int, paths ...string) {
	w.t.Helper()
	w.named(mark, paths...)
	for _, c := range w.since(mark) {
		if !slices.Contains(paths, c.Path) {
			w.t.Errorf("needless %v", c)
		}
	}
}

// ask sends a barrier, unless the watch has ended.
func (w *watched) ask(reached func()) {
	select {
	case w.barriers <- sdk.NewBarrier(reached):
	case <-w.done:
	}
}

// prove waits until the watch has reached a barrier.
func (w *watched) prove() {
	w.t.Helper()
	reached := make(chan struct{})
	w.ask(func() { close(reached) })
	select {
	case <-reached:
	case <-w.done:
		w.t.Fatalf("watch ended: %v", w.err)
	case <-time.After(patience):
		w.t.Fatal("the barrier was not reached")
	}
}

// alive proves that every one of the directories is watched: a new file in it has been reported under its
// right path when a barrier after it is reached.
func (w *watched) alive(dirs ...string) {
	w.t.Helper()
	mark := w.mark()
	file := fmt.Sprintf("canary%d", mark)
	for _, dir := range dirs {
		must(w.t, os.WriteFile(filepath.Join(w.root, dir, file), nil, 0o644))
	}
	w.prove()
	named := make(map[string]bool)
	for _, c := range w.since(mark) {
		named[c.Path] = true
	}
	for _, dir := range dirs {
		if !named[relpath.Join(dir, file)] {
			w.t.Fatalf("a new file in %q was not reported", dir)
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
			if !strings.Contains(stacks, "fanotify.(*") && files == "" {
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
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		// The runtime opens some for itself when it first needs them.
		if err == nil && !strings.HasPrefix(to, "anon_inode:[event") && !strings.HasPrefix(to, "/sys/fs/cgroup/") {
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
