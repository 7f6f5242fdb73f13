//go:build !linux

package sshd

import (
	"os/exec"
	"syscall"
)

// start starts cmd. The channel is closed when it has ended.
func start(cmd *exec.Cmd) (ended chan struct{}, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // killed by Stop
	}()
	return ended, nil
}
