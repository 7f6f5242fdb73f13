package core

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errReloaded is what those are told who ask for something that a block cannot do any more.
var errReloaded = errors.New("the configuration has been changed and this sync is about to end, or to begin anew: try again")

// term is the time that a sync block is at work, from its run to its retirement.
type term struct {
	over   context.Context // ends with the retirement
	retire context.CancelFunc
	ended  chan struct{} // closed when the run has ended

	mu    sync.Mutex     // held while somebody begins to use the block, and when it is retired
	users sync.WaitGroup // who asked for something
}

func newTerm() *term {
	t := &term{ended: make(chan struct{})}
	t.over, t.retire = context.WithCancel(context.Background())
	return t
}

// run returns the contexts of a run: until either of the two it gets ends, or some time after the retirement.
// The function is to be called when the run has ended.
func (t *term) run(ctx, abort context.Context, patience time.Duration) (_, _ context.Context, ended func()) {
	ctx, cancel := context.WithCancel(ctx)
	abort, cancelAbort := context.WithCancel(abort)
	stop := context.AfterFunc(t.over, func() {
		cancel()
		time.AfterFunc(patience, cancelAbort)
	})
	return ctx, abort, func() {
		stop()
		cancel()
		cancelAbort()
		close(t.ended)
	}
}

// end retires the block: nobody begins to use it any more, and what is under way ends. It does not wait for
// that.
func (t *term) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retire()
}

// wait waits until what end has ended is over.
func (t *term) wait() {
	<-t.ended
	t.users.Wait()
}

// use calls do unless the block is retired. The context of do ends when it is.
func (t *term) use(ctx context.Context, do func(context.Context) error) error {
	t.mu.Lock()
	if t.over.Err() != nil {
		t.mu.Unlock()
		return errReloaded
	}
	t.users.Add(1)
	t.mu.Unlock()
	defer t.users.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.over, cancel)()
	err := do(ctx)
	if err != nil && t.over.Err() != nil {
		return errReloaded
	}
	return err
}
