package watchertest

import (
	"slices"
	"sync"

	"github.com/filewatch/filewatch/sdk"
)

// Recorder is a Reporter that remembers everything.
type Recorder struct {
	Watching chan struct{} // closed by Ready
	Wake     chan struct{} // capacity 1: there are new changes

	mu      sync.Mutex // guards all below
	changes []sdk.Change
	paths   []string // as last reported as unwatched
	reason  string
}

var _ sdk.Reporter = (*Recorder)(nil)

// NewRecorder returns a Recorder for one watch.
func NewRecorder() *Recorder {
	return &Recorder{Watching: make(chan struct{}), Wake: make(chan struct{}, 1)}
}

// Ready implements sdk.Reporter.
func (r *Recorder) Ready() { close(r.Watching) }

// Change implements sdk.Reporter.
func (r *Recorder) Change(c sdk.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
	select {
	case r.Wake <- struct{}{}:
	default:
	}
}

// Unwatched implements sdk.Reporter.
func (r *Recorder) Unwatched(paths []string, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths, r.reason = slices.Clone(paths), reason
}

// Mark returns where the changes from now on begin.
func (r *Recorder) Mark() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.changes)
}

// Since returns the changes since mark.
func (r *Recorder) Since(mark int) []sdk.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.changes[mark:])
}

// Blind returns what was last reported as unwatched, and why.
func (r *Recorder) Blind() (paths []string, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paths, r.reason
}
