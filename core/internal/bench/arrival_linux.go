package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// arrivals tells when files appear in a directory, without using the processor until then.
type arrivals struct {
	scope *scope
	dir   string
	fd    int
}

// arrivalsIn watches dir until close.
func (s *scope) arrivalsIn(dir string) *arrivals {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	s.check(err)
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE); err != nil {
		_ = unix.Close(fd)
		s.Fatalf("watch %s: %v", dir, err)
	}
	return &arrivals{s, dir, fd}
}

func (a *arrivals) close() { _ = unix.Close(a.fd) }

// next returns when something has happened in the directory, or after the timeout.
func (a *arrivals) next(timeout time.Duration) {
	// Not longer than this, or the program would not end when it is asked to.
	const longest = 200 * time.Millisecond
	fds := []unix.PollFd{{Fd: int32(a.fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, int(min(timeout, longest)/time.Millisecond)+1); err != nil && !errors.Is(err, unix.EINTR) {
		a.scope.check(err)
	}
	a.scope.check(a.scope.ctx.Err())
	var buf [16 << 10]byte
	for {
		if n, _ := unix.Read(a.fd, buf[:]); n <= 0 {
			return
		}
	}
}

// wait returns when the file has what is wanted in it, and whether it has before the timeout.
func (a *arrivals) wait(name string, want func(content []byte) bool, timeout time.Duration) bool {
	for deadline := time.Now().Add(timeout); ; {
		content, err := os.ReadFile(filepath.Join(a.dir, name))
		if err == nil && want(content) {
			return true
		}
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		a.next(left)
	}
}

func is(want []byte) func([]byte) bool {
	return func(content []byte) bool { return bytes.Equal(content, want) }
}
