package pluginhost

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/backoff"
	"github.com/filewatch/filewatch/sdk"
)

// Plugin keeps one process of a plugin running. Its methods may be called concurrently.
type Plugin struct {
	host    *Host
	program Program
	log     hclog.Logger

	kick    chan struct{} // do not wait any longer before the next start
	stop    chan struct{} // closed by Host.Close, after stopCtx is set
	stopCtx context.Context
	stopped chan struct{} // closed when run has returned

	mu       sync.Mutex    // guards the fields below
	changed  chan struct{} // closed and replaced when one of them changes
	running  *generation   // nil while there is none
	failures uint64        // starts that failed
	err      error         // why there is no process; nil before the first start
	closed   bool
}

// Lease is one process of a plugin, to which the embedded client speaks. Its calls fail with an error
// that sdk.IsUnavailable reports once the process is gone; ask the Plugin for a new one then.
type Lease struct {
	*sdk.Client
	g *generation
}

// Done is closed when the process is gone.
func (l *Lease) Done() <-chan struct{} { return l.g.done }

// Err tells why the process is gone, after Done.
func (l *Lease) Err() error {
	select {
	case <-l.g.done:
		return l.g.err
	default:
		return nil
	}
}

// ends reports whether the process, of which a call has failed, ends within a second.
func (l *Lease) ends(ctx context.Context) bool {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-l.Done():
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// Description is what the process said of itself when it started.
func (l *Lease) Description() sdk.Description { return l.g.desc }

// PID is the id of the process.
func (l *Lease) PID() int { return l.g.proc.pid() }

// Client returns the running process. While there is none it blocks until there is, or until ctx
// ends; the error then tells why there is none. It returns ErrClosed after Host.Close.
func (p *Plugin) Client(ctx context.Context) (*Lease, error) {
	for {
		p.mu.Lock()
		running, err, closed, changed := p.running, p.err, p.closed, p.changed
		p.mu.Unlock()
		switch {
		case closed:
			return nil, ErrClosed
		case running != nil:
			return &Lease{running.client, running}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
			}
			return nil, fmt.Errorf("plugin %s is starting: %w", p.program.Name, ctx.Err())
		}
	}
}

// try is Client, but starts the plugin at once and fails when the start does.
func (p *Plugin) try(ctx context.Context) (*Lease, error) {
	p.mu.Lock()
	before, failed := p.failures, p.err != nil
	p.mu.Unlock()
	if failed {
		select {
		case p.kick <- struct{}{}:
		default:
		}
	}
	for {
		p.mu.Lock()
		running, failures, err, closed, changed := p.running, p.failures, p.err, p.closed, p.changed
		p.mu.Unlock()
		switch {
		case closed:
			return nil, ErrClosed
		case running != nil:
			return &Lease{running.client, running}, nil
		case failures > before:
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// set changes the guarded fields and wakes who waits for that.
func (p *Plugin) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

// run starts process after process until the plugin is stopped.
func (p *Plugin) run() {
	defer close(p.stopped)
	defer p.set(func() { p.closed = true })
	ctx, cancel := untilClosed(p.stop)
	defer cancel()
	waits := backoff.Backoff{Min: p.host.timing.backoffMin, Max: p.host.timing.backoffMax}
	fast := true    // the next restart of a process that ran needs no wait
	failed := false // before this start
	// A plugin that never ran is in no plan: whoever asked what it is was told, see try.
	trouble := hclog.Debug
	for {
		var wait time.Duration
		g, err := p.host.start(ctx, p.program, p.log)
		if err == nil {
			level := hclog.Debug
			if trouble == hclog.Error && failed {
				level = hclog.Info // the good end of what was logged as an error
			}
			trouble = hclog.Error
			p.log.Log(level, "plugin is running", "pid", g.proc.pid(), "version", g.desc.Version)
			err = p.serve(ctx, g)
			if time.Since(g.started) >= p.host.timing.healthy {
				waits.Reset()
				fast = true
			}
			if !fast {
				wait = waits.Next()
			}
			fast = false
		} else {
			err = fmt.Errorf("plugin %s does not start: %w", p.program.Name, err)
			p.set(func() { p.err = err; p.failures++ })
			wait = waits.Next()
		}
		if ctx.Err() != nil {
			return
		}
		failed = true
		p.log.Log(trouble, "plugin is not running, it will be started again", "err", err, "in", wait.Round(time.Millisecond))
		p.pause(ctx, wait)
	}
}

// serve lends out a process until it ends, or ends it when ctx does. It returns why.
func (p *Plugin) serve(ctx context.Context, g *generation) error {
	p.set(func() { p.running, p.err = g, nil })
	select {
	case <-g.proc.exited:
	case <-ctx.Done():
		p.set(func() { p.running, p.closed = nil, true })
		g.drain(p.stopCtx)
	}
	err := g.reason()
	p.set(func() {
		p.running = nil
		p.err = fmt.Errorf("plugin %s ended: %w", p.program.Name, err)
	})
	g.end(err)
	g.release()
	return err
}

// pause waits, unless somebody needs the plugin now.
func (p *Plugin) pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.kick:
	case <-ctx.Done():
	}
}

// untilClosed returns a context that ends when c is closed, or by cancel.
func untilClosed(c <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		select {
		case <-c:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
