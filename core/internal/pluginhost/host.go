// Package pluginhost finds, starts, supervises and stops plugin processes.
//
// A Host runs one process for each Program in use, however many sync blocks it serves. A Plugin is
// the supervisor of that process: it starts it again, with backoff, whenever it dies or hangs. A
// Lease is one process in particular; whoever uses it learns by Lease.Done that it is gone.
//
// Plugins do not outlive the daemon: each holds the read end of a pipe as its standard input, which
// ends with the daemon however that ends. Their sockets live in a private directory, which the next
// daemon removes if this one cannot.
package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// ErrClosed is returned after Host.Close.
var ErrClosed = errors.New("the plugin host is closed")

// Config configures a Host.
type Config struct {
	// Logger takes what plugins log and print, under their names, and what becomes of them. Its
	// level is also theirs. nil = nothing is logged.
	Logger hclog.Logger
	// Builtins are the plugins that Exe is when it is started as `Exe plugin NAME`.
	Builtins []string
	// Exe is the absolute path of the program with the built-in plugins; "" = this one.
	Exe string
}

// Host runs plugins. Its methods may be called concurrently.
type Host struct {
	log      hclog.Logger
	builtins []string
	exe      string
	timing   timing
	run      *runDir
	starter  *starter
	procs    atomic.Uint64 // processes so far

	mu      sync.Mutex // guards the fields below
	plugins map[Program]*Plugin
	closed  bool
	ending  sync.WaitGroup // plugins that are no longer in plugins; none is added once closed
}

// timing holds the host's times.
type timing struct {
	// start is how long a process may take until it is ready. A Go plugin takes 50 ms; an interpreter
	// on a loaded small machine takes seconds.
	start time.Duration
	// healthInterval and healthTimeout bound how long a process that hangs goes unnoticed, to 70 s, and
	// callInterval to 20 s while a transfer is under way. Each health call wakes the daemon and the process, and is
	// most of what they do when nothing changes.
	healthInterval, callInterval, healthTimeout time.Duration
	// validate is how long a plugin may judge a configuration, for which it opens no connection.
	validate time.Duration
	// healthy is how long a process must have run for its death to count as the first.
	healthy time.Duration
	// backoffMin and backoffMax bound the wait before the next start.
	backoffMin, backoffMax time.Duration
}

var defaultTiming = timing{
	start:          15 * time.Second,
	healthInterval: time.Minute,
	callInterval:   10 * time.Second,
	healthTimeout:  5 * time.Second,
	validate:       10 * time.Second,
	healthy:        15 * time.Second,
	backoffMin:     time.Second,
	backoffMax:     2 * time.Minute,
}

// New returns a Host. It starts no process. It fails when there is no place for sockets.
func New(cfg Config) (*Host, error) {
	return newHost(cfg, defaultTiming, runBases())
}

func newHost(cfg Config, t timing, runBases []string) (*Host, error) {
	run, err := newRunDir(runBases)
	if err != nil {
		return nil, err
	}
	h := &Host{
		log:      cfg.Logger,
		builtins: cfg.Builtins,
		exe:      cfg.Exe,
		timing:   t,
		run:      run,
		starter:  newStarter(),
		plugins:  make(map[Program]*Plugin),
	}
	if h.log == nil {
		h.log = hclog.NewNullLogger()
	}
	return h, nil
}

// Plugin returns the supervisor of a program, which starts its process now unless it runs already. It
// fails when there can be no such process: a name that is neither built in nor has a path.
func (h *Host) Plugin(program Program) (*Plugin, error) {
	if err := program.check(h.builtins); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	p, ok := h.plugins[program]
	if !ok {
		p = &Plugin{
			host:    h,
			program: program,
			log:     h.log.With("plugin", program.Name),
			kick:    make(chan struct{}, 1),
			stop:    make(chan struct{}),
			stopped: make(chan struct{}),
			changed: make(chan struct{}),
		}
		h.plugins[program] = p
		go p.run()
	}
	return p, nil
}

// retain ends the plugins that are not among programs, in the background: they finish what they do until ctx
// ends.
func (h *Host) retain(ctx context.Context, programs []Program) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	for program, p := range h.plugins {
		if slices.Contains(programs, program) {
			continue
		}
		p.log.Debug("plugin is not needed any more")
		delete(h.plugins, program)
		p.stopCtx = ctx
		close(p.stop)
		h.ending.Go(func() { <-p.stopped })
	}
}

// Close lets the plugins finish what they do until ctx ends, ends them, and removes the run
// directory. It returns when all processes are gone: at the latest some ten seconds after ctx has
// ended, even if a process hangs.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	closed := h.closed
	h.closed = true
	h.mu.Unlock()
	if closed {
		return ErrClosed
	}
	for _, p := range h.plugins {
		p.stopCtx = ctx
		close(p.stop)
	}
	for _, p := range h.plugins {
		<-p.stopped
	}
	h.ending.Wait()
	h.starter.close()
	return h.run.remove()
}

// open returns the executable of a program.
func (h *Host) open(program Program) (*executable, error) {
	if program.Path != "" {
		return openExternal(program)
	}
	path := h.exe
	if path == "" {
		var err error
		if path, err = ownExecutable(); err != nil {
			return nil, err
		}
	}
	return &executable{path: path, args: []string{"filewatch", "plugin", program.Name}}, nil
}

// newProcessDir makes the directory for the sockets of one process. Each gets its own: what is left
// of an earlier one may still remove its sockets.
func (h *Host) newProcessDir() (string, error) {
	dir := h.run.process(h.procs.Add(1))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("make a directory for the plugin's sockets: %w", err)
	}
	return dir, nil
}
