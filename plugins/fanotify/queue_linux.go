package fanotify

import "sync"

// queue is the buffer between the goroutine that reads the kernel, which never waits for anything
// else, and the one that acts on what was read. Past its bound everything is dropped and said to be
// lost, as the kernel does.
type queue struct {
	ready chan struct{} // capacity 1: there may be something to take
	limit int           // bytes

	mu   sync.Mutex // guards all below
	buf  []byte
	lost bool  // something was dropped after what is in buf
	err  error // reading has ended
}

func newQueue(limit int) *queue {
	return &queue{ready: make(chan struct{}, 1), limit: limit}
}

// put appends events.
func (q *queue) put(events []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lost || len(q.buf)+len(events) > q.limit {
		q.lost = true
	} else {
		q.buf = append(q.buf, events...)
	}
	q.signal()
}

// fail says that nothing more will be put.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
	q.signal()
}

// take returns all events so far, and whether some were lost after them. It uses spare from then on.
func (q *queue) take(spare []byte) (events []byte, lost bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events, lost = q.buf, q.lost
	q.buf, q.lost = spare[:0], false
	return events, lost, q.err
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}
