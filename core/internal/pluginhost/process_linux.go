package pluginhost

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sysProcAttr puts a plugin into a process group of its own: Ctrl-C reaches only the daemon, and what
// the plugin starts can be ended with it. Should the daemon die, a plugin that does not look at its
// standard input gets SIGTERM; one that does may get both.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// awaitExit blocks until the process has ended, and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}
