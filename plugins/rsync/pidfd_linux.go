package rsync

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// standsIn reports whether the kernel hands out the files of other processes: since 5.10, unless a container's
// rules forbid it.
var standsIn = sync.OnceValue(func() bool {
	self, err := openChild(os.Getpid())
	if err != nil {
		return false
	}
	defer self.Close()
	return self.lend([3]int{0, 1, 2}, func([3]int) error { return nil }) == nil
})

// child is a process that waits for us.
type child struct {
	pid   int
	pidfd *os.File
}

func openChild(pid int) (*child, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &child{pid, os.NewFile(uintptr(fd), "pidfd")}, nil
}

// args returns the process's command line.
func (c *child) args() []string {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(c.pid) + "/cmdline")
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
}

// lend calls f with copies of three of the process's files, which are closed afterwards.
func (c *child) lend(theirs [3]int, f func([3]int) error) error {
	var files [3]int
	for i, fd := range theirs {
		fd, err := c.file(fd)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		files[i] = fd
	}
	return f(files)
}

// file returns a copy of one of the process's descriptors.
func (c *child) file(fd int) (int, error) {
	raw, err := c.pidfd.SyscallConn()
	if err != nil {
		return -1, err
	}
	our := -1
	closed := raw.Control(func(pidfd uintptr) { our, err = unix.PidfdGetfd(int(pidfd), fd, 0) })
	return our, errors.Join(closed, err)
}

// wait returns when the process has ended, or after Close.
func (c *child) wait() {
	raw, err := c.pidfd.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
}

func (c *child) Close() error { return c.pidfd.Close() }
