package sdk

import (
	"context"
	"sync"
)

// turns lets one call at a time through for each sync block and destination, and one that is beside. A host that gives a call up
// does not wait for its end, and the next one must not meet it.
type turns struct {
	mu   sync.Mutex
	busy map[turn]chan struct{} // closed at the end of the call
}

type turn struct {
	sync        string
	destination Endpoint
	beside      bool
}

// take waits for its turn, which lasts until the returned function is called. The error is that of ctx.
func (t *turns) take(ctx context.Context, key turn) (func(), error) {
	for {
		t.mu.Lock()
		before := t.busy[key]
		if before == nil {
			mine := make(chan struct{})
			t.busy[key] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.busy, key)
				t.mu.Unlock()
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
