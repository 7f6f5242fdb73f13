package sshd

import (
	"os/exec"
	"runtime"
	"syscall"
)

// start starts cmd so that it dies with this process, however that ends. The channel is closed when
// cmd has ended.
func start(cmd *exec.Cmd) (ended chan struct{}, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	ended = make(chan struct{})
	started := make(chan error)
	go func() {
		defer close(ended)
		// Pdeathsig comes at the end of the thread that started cmd: keep this one.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed by Stop
		}
	}()
	return ended, <-started
}
