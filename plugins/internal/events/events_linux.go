// Package events takes events off a queue of the kernel at once, however long it takes to act on them.
package events

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// chunk is how much is read at once: many events, of which one takes at most some 300 bytes with inotify
// and some 1000 with fanotify.
const chunk = 64 << 10

// Queue is the buffer between the kernel, whose own queue is short, and who acts on the events. Past its
// limit everything is dropped and said to be lost, as the kernel does.
type Queue struct {
	// Ready has capacity 1: there may be something to take.
	Ready chan struct{}

	file       *os.File // not blocking
	limit      int      // bytes
	beforeRead func()   // called before each read, if set

	mu    sync.Mutex // guards all below, and reading: what is read is in buf at once
	chunk []byte
	buf   []byte
	total uint64 // bytes that were ever put into buf
	lost  bool   // something was dropped after what is in buf
	err   error  // reading has ended
}

// NewQueue returns a queue of what is read from file, up to limit bytes.
func NewQueue(file *os.File, limit int, beforeRead func()) *Queue {
	return &Queue{Ready: make(chan struct{}, 1), file: file, limit: limit, beforeRead: beforeRead, chunk: make([]byte, chunk)}
}

// Run moves events from the kernel into the queue until the file is closed, and does nothing else.
func (q *Queue) Run() {
	conn, err := q.file.SyscallConn()
	for err == nil {
		var failed error
		err = conn.Read(func(fd uintptr) bool {
			var some bool
			some, failed = q.fill(int(fd))
			return some || failed != nil
		})
		if err == nil {
			err = failed
		}
	}
	// Only this way of reading says in a way that can be told from others that the file is closed.
	if _, closed := q.file.Read(nil); !errors.Is(closed, os.ErrClosed) {
		q.mu.Lock()
		q.err = err
		q.mu.Unlock()
		q.signal()
	}
}

// Pull moves what the kernel has now into the queue as well. It returns a position in the stream of
// events: everything that the kernel told before the call is among its first so many bytes, or lost.
func (q *Queue) Pull() (position uint64) {
	if conn, err := q.file.SyscallConn(); err == nil {
		// What goes wrong here goes wrong in Run, too.
		_ = conn.Control(func(fd uintptr) {
			for {
				if some, err := q.fill(int(fd)); !some || err != nil || q.full() {
					return
				}
			}
		})
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}

// fill reads once. It reports false when there is nothing to read for now.
func (q *Queue) fill(fd int) (some bool, err error) {
	if q.beforeRead != nil {
		q.beforeRead()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	n, err := unix.Read(fd, q.chunk)
	switch {
	case err == unix.EINTR:
		return true, nil
	case err == unix.EAGAIN:
		return false, nil
	case err == nil && n == 0:
		return false, io.ErrUnexpectedEOF
	case err != nil:
		return false, os.NewSyscallError("read", err)
	case q.lost || len(q.buf)+n > q.limit:
		q.lost = true
	default:
		q.buf = append(q.buf, q.chunk[:n]...)
		q.total += uint64(n)
	}
	q.signal()
	return true, nil
}

func (q *Queue) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

// Take returns all events so far, and whether some were lost after them. It uses spare from then on.
func (q *Queue) Take(spare []byte) (events []byte, lost bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events, lost = q.buf, q.lost
	q.buf, q.lost = spare[:0], false
	return events, lost, q.err
}

func (q *Queue) signal() {
	select {
	case q.Ready <- struct{}{}:
	default:
	}
}
