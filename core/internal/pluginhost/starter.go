package pluginhost

import (
	"os/exec"
	"runtime"
)

// starter starts processes from one thread that lives as long as they do: on Linux a child's
// Pdeathsig fires when the thread that started it ends (prctl(2)), and the Go runtime ends threads at
// will (golang.org/issue/27505).
type starter struct {
	requests chan startRequest
	done     chan struct{}
}

type startRequest struct {
	cmd    *exec.Cmd
	result chan<- error
}

func newStarter() *starter {
	s := &starter{requests: make(chan startRequest), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread()
		// Without it the thread would end with the goroutine.
		defer runtime.UnlockOSThread()
		for r := range s.requests {
			r.result <- r.cmd.Start()
		}
	}()
	return s
}

// start is cmd.Start in that thread.
func (s *starter) start(cmd *exec.Cmd) error {
	result := make(chan error)
	s.requests <- startRequest{cmd, result}
	return <-result
}

// close ends the goroutine. All processes must have been started, and should have ended.
func (s *starter) close() {
	close(s.requests)
	<-s.done
}
