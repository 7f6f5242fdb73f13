// Package watchertest holds what the tests of all watchers share: a watch that remembers its reports, a table
// of what may happen to a tree, and a random tree with a mirror that is kept in step by reports alone.
package watchertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// Patience is how long a test waits for what must come.
const Patience = 20 * time.Second

// Backend is what watches a root: sdk.Watcher.Watch with the patterns parsed.
type Backend = func(ctx context.Context, root string, exclude *filter.Filter, asked <-chan sdk.Barrier, r sdk.Reporter) error

// Watched is a running watch of a directory.
type Watched struct {
	*Recorder
	T    testing.TB
	Root string
	Stop context.CancelFunc
	Err  error         // how the watch ended, once Done is closed
	Done chan struct{} // closed when the watch has ended

	barriers chan sdk.Barrier
}

// Start watches root with b until the test ends.
func Start(t testing.TB, b Backend, root string, exclude ...string) *Watched {
	t.Helper()
	w := Begin(t, b, root, exclude...)
	select {
	case <-w.Watching:
	case <-w.Done:
		t.Fatalf("watch ended: %v", w.Err)
	case <-time.After(Patience):
		t.Fatal("not ready")
	}
	return w
}

// Begin is Start without waiting.
func Begin(t testing.TB, b Backend, root string, exclude ...string) *Watched {
	t.Helper()
	f := Filter(t, exclude)
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watched{Recorder: NewRecorder(), T: t, Root: root, Stop: cancel, Done: make(chan struct{}), barriers: make(chan sdk.Barrier)}
	go func() {
		defer close(w.Done)
		w.Err = b(ctx, root, f, w.barriers, w.Recorder)
	}()
	t.Cleanup(func() {
		cancel()
		<-w.Done
	})
	return w
}

// End stops the watch and returns what it returned.
func (w *Watched) End() error {
	w.Stop()
	<-w.Done
	return w.Err
}

// Eventually waits until ok returns "", which otherwise says what is missing.
func (w *Watched) Eventually(ok func() string) {
	w.T.Helper()
	var missing string
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if missing = ok(); missing == "" {
			return
		}
	}
	w.T.Fatal(missing)
}

// Covers waits until the changes since mark cover the paths.
func (w *Watched) Covers(mark int, paths ...string) {
	w.T.Helper()
	w.Eventually(func() string { return uncovered(w.Since(mark), paths) })
}

// Covered checks that the changes since mark cover the paths.
func (w *Watched) Covered(mark int, paths ...string) {
	w.T.Helper()
	if missing := uncovered(w.Since(mark), paths); missing != "" {
		w.T.Fatal(missing)
	}
}

func uncovered(changes []sdk.Change, paths []string) string {
	for _, p := range paths {
		if !slices.ContainsFunc(changes, func(c sdk.Change) bool { return c.Covers(p) }) {
			return fmt.Sprintf("%q not covered by %v", p, changes)
		}
	}
	return ""
}

// Reports waits until changes since mark name exactly the paths, not only a directory above.
func (w *Watched) Reports(mark int, paths ...string) {
	w.T.Helper()
	w.Eventually(func() string { return unnamed(w.Since(mark), paths) })
}

// Named checks that changes since mark name the paths.
func (w *Watched) Named(mark int, paths ...string) {
	w.T.Helper()
	if missing := unnamed(w.Since(mark), paths); missing != "" {
		w.T.Error(missing)
	}
}

func unnamed(changes []sdk.Change, paths []string) string {
	names := make(map[string]bool, len(changes))
	for _, c := range changes {
		names[c.Path] = true
	}
	for _, p := range paths {
		if !names[p] {
			return fmt.Sprintf("%q not named in %v", p, changes)
		}
	}
	return ""
}

// Only checks that changes since mark name the paths, and no others.
func (w *Watched) Only(mark int, paths ...string) {
	w.T.Helper()
	w.Named(mark, paths...)
	for _, c := range w.Since(mark) {
		if !slices.Contains(paths, c.Path) {
			w.T.Errorf("needless %v", c)
		}
	}
}

// Ask sends a barrier, unless the watch has ended.
func (w *Watched) Ask(reached func()) {
	select {
	case w.barriers <- sdk.NewBarrier(reached):
	case <-w.Done:
	}
}

// Prove waits until the watch has reached a barrier.
func (w *Watched) Prove() {
	w.T.Helper()
	reached := make(chan struct{})
	w.Ask(func() { close(reached) })
	select {
	case <-reached:
	case <-w.Done:
		w.T.Fatalf("watch ended: %v", w.Err)
	case <-time.After(Patience):
		w.T.Fatal("the barrier was not reached")
	}
}

// Alive checks that every one of the directories is watched: new files in it have been reported when a barrier
// after them is reached, and under their right path at the latest when what was reported as a whole subtree
// is over.
func (w *Watched) Alive(dirs ...string) {
	w.T.Helper()
	for deadline := time.Now().Add(Patience); len(dirs) > 0; {
		mark := w.Mark()
		file := fmt.Sprintf("canary%d", mark)
		var files []string
		for _, dir := range dirs {
			Must(w.T, os.WriteFile(filepath.Join(w.Root, dir, file), nil, 0o644))
			files = append(files, relpath.Join(dir, file))
		}
		w.Prove()
		w.Covered(mark, files...)
		changes := w.Since(mark)
		dirs = slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool {
			return unnamed(changes, []string{relpath.Join(dir, file)}) == ""
		})
		if len(dirs) > 0 && time.Now().After(deadline) {
			w.T.Fatalf("new files in %q are not reported", dirs)
		}
	}
}

// Must fails the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Filter returns the filter with the patterns.
func Filter(t testing.TB, patterns []string) *filter.Filter {
	t.Helper()
	f, err := filter.Parse(patterns)
	Must(t, err)
	return f
}

// Whole reports whether c puts everything in doubt.
func Whole(c sdk.Change) bool { return c.Path == "" && c.Scope == sdk.ScopeSubtree }
