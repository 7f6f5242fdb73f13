package main

import (
	"io"
	"os/exec"
	"syscall"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
)

// spare is an rsync that has connected and waits for its list.
type spare struct {
	cmd  *exec.Cmd
	list io.WriteCloser
}

// startFloor keeps a spare rsync over a shared connection, and gives it the path of a change as soon as that is
// made: no watcher, no queue, nothing is checked. It cannot be faster with rsync.
func startFloor(_ *bench, s *scope, p place) *running {
	config, master := p.share(s)
	prepare := func() spare {
		cmd := exec.Command("rsync", "-lptgoD", "--modify-window=-1", "--timeout=100", "--from0", "--files-from=-",
			"--delete-missing-args", "--force", "-e", "ssh -F "+config, "--", p.source+"/", p.target())
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		list, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		s.check(err)
		return spare{cmd, list}
	}
	next := prepare()
	s.Cleanup(func() {
		_ = proc.Kill(next.cmd.Process.Pid, syscall.SIGKILL) // its ssh ends by itself then
		_ = next.cmd.Wait()
	})
	var ended time.Duration
	used := false
	return &running{
		pids: []int{master},
		changed: func(path string) {
			used = true
			_, err := io.WriteString(next.list, "./"+path+"\x00")
			s.check(err)
			s.check(next.list.Close())
		},
		rest: func() {
			if !used {
				return
			}
			if err := next.cmd.Wait(); err != nil {
				s.Fatalf("rsync: %v", err)
			}
			ended += next.cmd.ProcessState.UserTime() + next.cmd.ProcessState.SystemTime() // with its children's
			next, used = prepare(), false
		},
		ended: func() time.Duration { return ended },
	}
}
