package sdk

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errDraining refuses work after Drain; the host reads it as Unavailable.
var errDraining = Unavailable(errors.New("the plugin is ending"))

// work counts the calls under way, so that they can be drained.
type work struct {
	ctx    context.Context // ends when running calls must give up
	cancel context.CancelFunc

	mu       sync.Mutex // guards draining and every wg.Add
	draining bool
	wg       sync.WaitGroup
}

func newWork() *work {
	ctx, cancel := context.WithCancel(context.Background())
	return &work{ctx: ctx, cancel: cancel}
}

// begin returns a context that ends with ctx or when draining has lasted too long, and the function
// that the call must end with.
func (w *work) begin(ctx context.Context) (context.Context, func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draining {
		return nil, nil, errDraining
	}
	w.wg.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(w.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		w.wg.Done()
	}, nil
}

// drain refuses new calls, gives those that run the timeout to end, and returns when none runs.
func (w *work) drain(timeout time.Duration) {
	w.mu.Lock()
	w.draining = true
	w.mu.Unlock()
	timer := time.AfterFunc(timeout, w.cancel)
	defer timer.Stop()
	w.wg.Wait()
}
