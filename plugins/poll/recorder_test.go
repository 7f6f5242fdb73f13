package poll

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// recorder is a Reporter that remembers everything.
type recorder struct {
	ready chan struct{}

	mu      sync.Mutex // guards all below
	changes []sdk.Change
	paths   []string // as last reported as unwatched
	reason  string
}

func newRecorder() *recorder { return &recorder{ready: make(chan struct{})} }

func (r *recorder) Ready() { close(r.ready) }

func (r *recorder) Change(c sdk.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
}

func (r *recorder) Unwatched(paths []string, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths, r.reason = slices.Clone(paths), reason
}

func (r *recorder) unwatched() ([]string, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paths, r.reason
}

// take returns the changes since the last call.
func (r *recorder) take() []sdk.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.changes
	r.changes = nil
	return c
}

// watched is a running watch of a directory.
type watched struct {
	*recorder
	t        testing.TB
	root     string
	barriers chan sdk.Barrier
	stop     context.CancelFunc
	err      error
	done     chan struct{} // closed when err is set
}

// rarely is a configuration with which only barriers cause passes after the first.
func rarely() *config { return &config{Interval: time.Hour, MaxLoad: "100%"} }

// start watches root until the test ends.
func start(t testing.TB, root string, c *config, exclude ...string) *watched {
	t.Helper()
	return begin(t, root, c, exclude...).isReady()
}

// isReady waits until w is.
func (w *watched) isReady() *watched {
	w.t.Helper()
	select {
	case <-w.ready:
	case <-w.done:
		w.t.Fatalf("watch ended: %v", w.err)
	case <-time.After(patience):
		w.t.Fatal("not ready")
	}
	return w
}

// begin is start without waiting.
func begin(t testing.TB, root string, c *config, exclude ...string) *watched {
	t.Helper()
	return request(t, sdk.WatchRequest{Root: root, Exclude: exclude, Config: c})
}

// request watches until the test ends.
func request(t testing.TB, req sdk.WatchRequest) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watched{recorder: newRecorder(), t: t, root: req.Root, barriers: make(chan sdk.Barrier), stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		req.Barriers = w.barriers
		w.err = Plugin().Watcher.Watch(ctx, req, w.recorder)
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

// wait returns how the watch ended by itself.
func (w *watched) wait() error {
	w.t.Helper()
	select {
	case <-w.done:
		return w.err
	case <-time.After(patience):
		w.t.Fatal("the watch goes on")
		return nil
	}
}

// prove waits until a barrier is reached, or the watch has ended.
func (w *watched) prove() {
	w.t.Helper()
	reached := make(chan struct{})
	timeout := time.After(patience)
	select {
	case w.barriers <- sdk.NewBarrier(func() { close(reached) }):
	case <-w.done:
		return
	case <-timeout:
		w.t.Fatal("barrier not received")
	}
	select {
	case <-reached:
	case <-w.done:
	case <-timeout:
		w.t.Fatal("barrier not reached")
	}
}

// after returns what was reported once a barrier has been reached.
func (w *watched) after() []sdk.Change {
	w.t.Helper()
	w.prove()
	return w.take()
}

// rest waits until nothing is reported any more.
func (w *watched) rest() {
	w.t.Helper()
	eventually(w.t, func() string {
		if c := w.after(); len(c) > 0 {
			return fmt.Sprintf("still reported: %+v", c)
		}
		return ""
	})
}

// eventually waits until ok returns "", which otherwise says what is missing.
func eventually(t testing.TB, ok func() string) {
	t.Helper()
	var missing string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if missing = ok(); missing == "" {
			return
		}
	}
	t.Fatal(missing)
}

// covered reports whether changes cover path: one of them names it, or a subtree that it is in, or one
// above it that is no directory now, so that it cannot exist.
func covered(root, path string, changes []sdk.Change) bool {
	return slices.ContainsFunc(changes, func(c sdk.Change) bool {
		if c.Covers(path) {
			return true
		}
		c.Scope = sdk.ScopeSubtree
		if !c.Covers(path) {
			return false
		}
		info, err := os.Lstat(root + "/" + c.Path)
		return err != nil || !info.IsDir()
	})
}

// mustPass makes a pass that has to succeed.
func mustPass(t testing.TB, tr *tree, light bool) outcome {
	t.Helper()
	o, err := tr.pass(context.Background(), light)
	watchertest.Must(t, err)
	return o
}

func mustTree(t testing.TB, root string, exclude ...string) (*tree, *recorder) {
	t.Helper()
	f, err := filter.Parse(exclude)
	watchertest.Must(t, err)
	r := newRecorder()
	tr := newTree(root, f, nil, r)
	mustPass(t, tr, false)
	if got := r.take(); len(got) != 0 {
		t.Fatalf("the first pass reports %v", got)
	}
	return tr, r
}
