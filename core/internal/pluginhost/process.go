package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// drainDelay is how long the output of an ended process is read while a descendant still holds the
// pipes. What the process itself wrote is in them by then.
const drainDelay = time.Second

// handshake is the line that a plugin must print before anything else.
var handshake = regexp.MustCompile(`^\s*[0-9]+\|[0-9]+\|`)

// process is one plugin process. go-plugin runs it through the runner.Runner interface instead of
// an exec.Cmd, because it must notice the end at once and end for certain: whatever holds its pipes,
// and together with its whole process group.
type process struct {
	name   string
	exe    *executable
	env    []string // besides what is inherited
	out    *output
	starts *starter

	stdout *io.PipeReader // only the handshake line
	feed   *io.PipeWriter
	exited chan struct{} // closed when the process has ended; state is set then
	quiet  chan struct{} // closed when its output has been read or given up
	state  *os.ProcessState

	mu       sync.Mutex // guards the fields below
	cmd      *exec.Cmd  // nil until started
	killed   bool       // before it ended
	reapable bool       // ended: its process group must not be signalled any more
}

var _ runner.Runner = (*process)(nil)

func newProcess(name string, exe *executable, env []string, out *output, starts *starter) *process {
	p := &process{
		name:   name,
		exe:    exe,
		env:    env,
		out:    out,
		starts: starts,
		exited: make(chan struct{}),
		quiet:  make(chan struct{}),
	}
	p.stdout, p.feed = io.Pipe()
	return p
}

// runner is for plugin.ClientConfig.RunnerFunc: environ is what go-plugin wants in the environment.
func (p *process) runner(environ []string) runner.Runner {
	p.env = append(environ[:len(environ):len(environ)], p.env...)
	return p
}

// Start starts the process. Nothing in it takes time, so the context is not needed.
func (p *process) Start(context.Context) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killed {
		return errors.New("ended before it was started")
	}
	var files []*os.File
	defer func() {
		if err != nil {
			closeAll(files)
		}
	}()
	pipe := func() (r, w *os.File) {
		if err != nil {
			return nil, nil
		}
		if r, w, err = os.Pipe(); err == nil {
			files = append(files, r, w)
		}
		return r, w
	}
	lifeline, hold := pipe()
	outR, outW := pipe()
	errR, errW := pipe()
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{
		Path:        p.exe.path,
		Args:        p.exe.args,
		Env:         append(inherited(os.Environ()), p.env...),
		Stdin:       lifeline,
		Stdout:      outW,
		Stderr:      errW,
		SysProcAttr: sysProcAttr(),
	}
	if err := p.starts.start(cmd); err != nil {
		return err
	}
	closeAll([]*os.File{lifeline, outW, errW})
	p.cmd = cmd
	go p.reap(hold, p.read(outR, errR))
	return nil
}

// closeAll closes ends of pipes, in which nothing is buffered that could be lost.
func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// read reads what the process prints, for as long as anyone can. The function that it returns gives
// that up.
func (p *process) read(stdout, stderr *os.File) (giveUp func()) {
	out := &lineWriter{emit: p.handshakeOr(p.out.stdout)}
	err := &lineWriter{emit: p.out.stderr}
	var wg sync.WaitGroup
	for w, r := range map[*lineWriter]*os.File{out: stdout, err: stderr} {
		wg.Go(func() {
			_, _ = io.Copy(w, r) // ends when nobody can write any more, or the file is closed here
			w.flush()
			_ = r.Close() // all is read
		})
	}
	go func() {
		wg.Wait()
		close(p.quiet)
	}()
	return func() { closeAll([]*os.File{stdout, stderr}) }
}

// handshakeOr passes the first line that looks like a handshake on to go-plugin, and all others to
// emit. Text before the handshake would fail the start otherwise (go-plugin#199).
func (p *process) handshakeOr(emit func([]byte, bool)) func([]byte, bool) {
	seen := false
	return func(line []byte, cut bool) {
		if seen || cut || !handshake.Match(line) {
			emit(line, cut)
			return
		}
		seen = true
		_, _ = p.feed.Write(append(line[:len(line):len(line)], '\n')) // fails only after the end
	}
}

// reap waits for the end of the process, and sees to it that nothing of it is left.
func (p *process) reap(lifeline *os.File, giveUp func()) {
	awaitExit(p.cmd.Process.Pid)
	p.mu.Lock()
	// Its id cannot belong to another group before it is reaped.
	p.signalGroup()
	p.reapable = true
	p.mu.Unlock()
	_ = p.cmd.Wait() // the state tells how it ended
	p.state = p.cmd.ProcessState
	close(p.exited)
	_ = p.feed.Close()   // cannot fail
	_ = lifeline.Close() // nothing was written to it

	timer := time.NewTimer(drainDelay)
	defer timer.Stop()
	select {
	case <-p.quiet:
	case <-timer.C:
		giveUp()
	}
}

func (p *process) signalGroup() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// kill ends the process and its group with SIGKILL, or prevents that it is started. It does not wait.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reapable {
		return
	}
	p.killed = true
	if p.cmd != nil {
		p.signalGroup()
	}
}

// waitExit waits for the end of the process and reports whether it came in time.
func (p *process) waitExit(timeout time.Duration) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// ending tells how the process ended, once exited is closed.
func (p *process) ending() error {
	// Its last words are in the pipe, which ends now unless a descendant holds it.
	timer := time.NewTimer(50 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-p.quiet:
	case <-timer.C:
	}
	text := "exit status 0"
	if p.state != nil {
		text = p.state.String()
	}
	if words := p.out.lastWords(); words != "" {
		text += ": " + words
	}
	return errors.New(text)
}

// endedByItself reports whether the process has ended and nobody here made it.
func (p *process) endedByItself() bool {
	select {
	case <-p.exited:
	default:
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.killed
}

// pid returns the id of the process, or 0 if it was not started.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// The methods below are, like Start, for go-plugin alone.

// Stdout yields the handshake line, and ends with the process.
func (p *process) Stdout() io.ReadCloser { return p.stdout }

// Stderr yields nothing, and ends with the process: its lines go straight to the log.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(emptyUntil(p.exited)) }

// Wait blocks until the process has ended.
func (p *process) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill ends the process and its group.
func (p *process) Kill(context.Context) error {
	p.kill()
	return nil
}

// ID is the process id; go-plugin takes "" for a process that was not started.
func (p *process) ID() string {
	if pid := p.pid(); pid != 0 {
		return strconv.Itoa(pid)
	}
	return ""
}

// Name is what go-plugin calls the process.
func (p *process) Name() string { return p.name }

// Diagnose adds nothing: generation.start tells why a process did not become ready.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost refuses sockets that other users could reach.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" {
		return "", "", fmt.Errorf("it listens on %s, not on a unix socket", network)
	}
	return network, address, nil
}

// HostToPlugin changes nothing: both run on this machine.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// emptyUntil is an empty reader that ends when the channel is closed.
type emptyUntil <-chan struct{}

func (c emptyUntil) Read([]byte) (int, error) {
	<-c
	return 0, io.EOF
}
