package mountinfo

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Table is the file with all mounts that this process sees.
const Table = "/proc/self/mountinfo"

// Read returns all mounts that this process sees.
func Read() ([]Mount, error) {
	text, err := os.ReadFile(Table)
	if err != nil {
		return nil, err
	}
	return Parse(string(text)), nil
}

// Poll calls changed, which must not block, at first and whenever the mounts may have changed, until table,
// the opened Table, is closed and ctx has ended. On a kernel that does not tell, it calls it every now and
// then.
func Poll(ctx context.Context, table *os.File, every time.Duration, changed func()) {
	conn, err := table.SyscallConn()
	for err == nil {
		// The kernel wakes who polls the table on every change. It always counts as readable, so it is
		// the waking that matters: hence the false, which waits for the next one. Only from the first
		// call on are wakings remembered, so what came since the last one is told there.
		waited := false
		err = conn.Read(func(uintptr) bool {
			if !waited {
				changed()
			}
			done := waited
			waited = true
			return done
		})
		if err != nil && !errors.Is(err, os.ErrClosed) {
			err = nil // this kernel's table cannot be polled
			select {
			case <-ctx.Done():
				return
			case <-time.After(every):
			}
		}
	}
}

// Changes tells who asks whether the system's mounts have changed, at once: what mount(2) or umount(2) has
// returned for counts. Poll's caller may not have been woken for it yet.
type Changes struct{ fd int }

// NewChanges counts from now on.
func NewChanges() (*Changes, error) {
	// Not by os.Open: the runtime's poller would be told before, and nobody is told twice.
	fd, err := unix.Open(Table, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &Changes{fd}, nil
}

// Happened reports whether the mounts may have changed since the last call, which was by the same goroutine.
func (c *Changes) Happened() bool {
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLPRI}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return err != nil || n > 0 && fds[0].Revents&(unix.POLLPRI|unix.POLLERR) != 0
		}
	}
}

// Close ends it.
func (c *Changes) Close() error { return unix.Close(c.fd) }
