// Package run starts child processes for plugins so that none outlives its purpose.
//
// A plugin is itself a child that may be killed at any moment, and its children (rsync, ssh) have
// children of their own. A process started here
//
//   - has a process group of its own, and all of the group ends with it;
//   - never inherits standard input, output or error, so that it cannot hold filewatch's pipes open;
//   - gets an environment without the secrets and settings that filewatch gave to the plugin;
//   - is asked to end when its context ends (SIGTERM), and made to after a grace time (SIGKILL to the
//     group);
//   - cannot make Wait hang through a grandchild that keeps a pipe open;
//   - on Linux, is killed by the kernel when the plugin dies, even by SIGKILL.
//
// A descendant that leaves the process group (setsid) escapes all of this but the pipes.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// defaultGrace is ample for rsync, which removes its temporary files on SIGTERM in milliseconds.
	defaultGrace = 2 * time.Second
	// tailSize holds the last hundred lines or so of standard error.
	tailSize = 8 << 10
)

// Command says what to start.
type Command struct {
	Path   string        // of the program; looked up in PATH if it has no slash
	Args   []string      // without the program's name
	Dir    string        // working directory; "" = that of the plugin
	Env    []string      // added to Environ(), as KEY=value; later ones win
	Stdin  io.Reader     // nil = empty; may be read from a little longer than the process lives
	Stdout io.Writer     // nil = dropped; an *os.File is the process's own; any other is never called concurrently
	Stderr io.Writer     // besides the tail in Exit; nil = dropped; never called concurrently
	Files  []*os.File    // the process's descriptors from 3 on; its descendants inherit them
	Grace  time.Duration // from SIGTERM to SIGKILL, and for descendants from the process's end to it; 0 = 2 s
}

// Exit is how a process ended.
type Exit struct {
	Code   int            // exit status; -1 when a signal ended it
	Signal syscall.Signal // that ended it; 0 = none
	Stderr string         // the last 8 KiB of standard error
}

// OK reports whether the process ended by itself with status 0.
func (e Exit) OK() bool { return e.Code == 0 && e.Signal == 0 }

// String returns "exit status 23" or "ended by signal: killed".
func (e Exit) String() string {
	if e.Signal != 0 {
		return "ended by signal: " + e.Signal.String()
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// Process is a child process. Its methods may be called concurrently.
type Process struct {
	cmd   *exec.Cmd
	grace time.Duration
	tail  *tail
	pipes pipes

	stop     chan struct{} // closed by Stop
	stopOnce sync.Once
	done     chan struct{} // closed once exit is set
	exit     Exit

	mu     sync.Mutex // guards reaped
	reaped bool       // the id may be another process's
}

// Run starts a command and waits for its end. An error means that it could not be started.
func Run(ctx context.Context, c Command) (Exit, error) {
	p, err := Start(ctx, c)
	if err != nil {
		return Exit{}, err
	}
	return p.Wait(), nil
}

// Start starts a command. The process ends when ctx does, at the latest; the caller need not Wait.
// The error wraps exec.ErrNotFound or what the kernel said.
func Start(ctx context.Context, c Command) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &Process{
		cmd:   exec.Command(c.Path, c.Args...),
		grace: c.Grace,
		tail:  &tail{limit: tailSize},
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	if p.grace == 0 {
		p.grace = defaultGrace
	}
	p.cmd.Dir = c.Dir
	p.cmd.ExtraFiles = c.Files
	p.cmd.Env = append(Environ(), c.Env...)
	p.cmd.SysProcAttr = sysProcAttr()
	stderr := io.Writer(p.tail)
	if c.Stderr != nil {
		stderr = io.MultiWriter(p.tail, c.Stderr)
	}
	err := p.pipes.connect(p.cmd, c.Stdin, c.Stdout, stderr)
	if err == nil {
		err = start(p.cmd)
	}
	p.pipes.closeTheirs()
	if err != nil {
		p.pipes.closeOurs()
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	p.pipes.copy()
	go p.supervise(ctx)
	return p, nil
}

// PID returns the process id, which is also that of the process group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and its output has been read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stop asks the process to end and returns at once.
func (p *Process) Stop() { p.stopOnce.Do(func() { close(p.stop) }) }

// Kill ends the process and its group by SIGKILL and returns at once. It does nothing after the end.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		signalGroup(p.PID(), syscall.SIGKILL)
	}
}

// reap takes the exit status.
func (p *Process) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Wait() // the exit status is in ProcessState
	p.reaped = true
}

// Wait blocks until the process has ended and its output has been read.
func (p *Process) Wait() Exit {
	<-p.done
	return p.exit
}

func (p *Process) supervise(ctx context.Context) {
	ended := make(chan struct{})
	go func() {
		awaitExit(p.PID())
		close(ended)
	}()
	p.untilEnded(ctx, ended)
	// Descendants may still clean up, as rsync's receiver does; a further signal would disturb them.
	// They hold the pipes, so that these tell when they have ended. What the process itself wrote is in
	// the pipes by now.
	p.pipes.wait(p.grace)
	// Until the process is reaped its id cannot belong to another group.
	signalGroup(p.PID(), syscall.SIGKILL)
	p.reap()
	p.pipes.closeOurs()
	p.pipes.wait(0)
	p.exit = exitOf(p.cmd.ProcessState)
	p.exit.Stderr = p.tail.String()
	close(p.done)
}

// untilEnded returns when the process has ended, which it speeds up when ctx or Stop says so.
func (p *Process) untilEnded(ctx context.Context, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	case <-p.stop:
	}
	// Not to the group: rsync passes it on to its own processes, and leaves a temporary file behind if
	// they are signalled twice. The process is not reaped yet, so that the id is its own.
	_ = syscall.Kill(p.PID(), syscall.SIGTERM)
	timer := time.NewTimer(p.grace)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		signalGroup(p.PID(), syscall.SIGKILL)
		<-ended
	}
}

func exitOf(state *os.ProcessState) Exit {
	if state == nil {
		return Exit{Code: -1}
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return Exit{Code: -1, Signal: status.Signal()}
	}
	return Exit{Code: state.ExitCode()}
}

// signalGroup sends a signal to all of a process group. That there is none left is no error.
func signalGroup(pid int, s syscall.Signal) {
	_ = syscall.Kill(-pid, s)
}

// IsNotFound reports whether err, from Start or Run, says that there is no such program.
func IsNotFound(err error) bool {
	return errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist)
}
