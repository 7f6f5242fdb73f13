package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/wire"
)

// generation is one process of a plugin, from its start to its end. A plugin that dies gets a new
// one.
type generation struct {
	log     hclog.Logger
	dir     string // for its sockets
	proc    *process
	plugin  *plugin.Client
	client  *sdk.Client
	health  grpc_health_v1.HealthClient
	desc    sdk.Description
	started time.Time
	timing  timing
	ask     chan struct{} // capacity 1: wants a health call
	stdout  lineWriter    // what comes by way of gRPC
	stderr  lineWriter

	done chan struct{} // closed when the process has ended; err is set then
	err  error
	wg   sync.WaitGroup // checkHealth
	once sync.Once      // for quit

	mu    sync.Mutex // guards cause
	cause error      // why the host ended it; nil = it ended by itself
}

// start starts a process of the program and waits until it is ready: it has answered, and is who it
// should be. It gives up when ctx ends or after the start timeout.
func (h *Host) start(ctx context.Context, program Program, log hclog.Logger) (_ *generation, err error) {
	exe, err := h.open(program)
	if err != nil {
		return nil, err
	}
	defer exe.close()
	dir, err := h.newProcessDir()
	if err != nil {
		return nil, err
	}
	out := &output{log: h.log.Named(program.Name)}
	g := &generation{
		log:     log,
		dir:     dir,
		proc:    newProcess(program.Name, exe, h.environ(dir), out, h.starter),
		started: time.Now(),
		timing:  h.timing,
		ask:     make(chan struct{}, 1),
		stdout:  lineWriter{emit: out.stdout},
		stderr:  lineWriter{emit: out.stderr},
		done:    make(chan struct{}),
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.timing.start,
		fmt.Errorf("it was not ready within %v", h.timing.start))
	defer cancel()
	// Nothing in go-plugin's start takes a context, but all of it ends with the process.
	stop := context.AfterFunc(ctx, g.proc.kill)
	err = g.connect(ctx, h, program.Name)
	if err != nil {
		// A process that died on the way is told by its end, not by the connection's.
		_ = g.proc.waitExit(200 * time.Millisecond)
	}
	if !stop() {
		err = context.Cause(ctx)
		if words := out.lastWords(); words != "" {
			err = fmt.Errorf("%w: %s", err, words)
		}
	} else if g.proc.endedByItself() {
		err = &endedError{g.proc.ending()}
	}
	if err != nil {
		g.end(err)
		g.release()
		return nil, err
	}
	g.wg.Go(g.checkHealth)
	return g, nil
}

// endedError tells that a process has ended by itself before it was ready.
type endedError struct{ ending error }

// Error implements error.
func (e *endedError) Error() string { return fmt.Sprintf("it ended before it was ready: %v", e.ending) }

func (e *endedError) Unwrap() error { return e.ending }

// environ returns what a plugin process gets besides what it inherits and what go-plugin needs.
func (h *Host) environ(dir string) []string {
	return []string{
		wire.EnvLifeline + "=stdin",
		wire.EnvRunDir + "=" + dir,
		wire.EnvLogLevel + "=" + h.log.GetLevel().String(),
	}
}

// connect starts the process and asks it who it is.
func (g *generation) connect(ctx context.Context, h *Host, name string) error {
	g.plugin = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake,
		VersionedPlugins: wire.Plugins(nil),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			return g.proc.runner(cmd.Env), nil
		},
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: g.dir},
		SkipHostEnv:      true,
		// Never reached: start ends the process before, and knows why.
		StartTimeout: 2 * h.timing.start,
		// It tells nothing that we do not, in other words and at other levels.
		Logger: hclog.NewNullLogger(),
		// What the plugin prints by way of os.Stdout and os.Stderr once it is served.
		SyncStdout: &g.stdout,
		SyncStderr: &g.stderr,
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithNoProxy(),
			grpc.WithInitialWindowSize(wire.Window),
			grpc.WithInitialConnWindowSize(wire.Window),
			grpc.WithUnaryInterceptor(g.unaryCall),
			grpc.WithStreamInterceptor(g.streamCall),
		},
	})
	protocol, err := g.plugin.Client()
	if err != nil {
		return errors.New(strings.TrimSpace(err.Error()))
	}
	dispensed, err := protocol.Dispense(wire.Name)
	if err != nil {
		return err
	}
	conn := dispensed.(grpc.ClientConnInterface)
	g.client = sdk.NewClient(conn)
	g.health = grpc_health_v1.NewHealthClient(conn)
	if g.desc, err = g.client.Describe(ctx); err != nil {
		return fmt.Errorf("it does not tell what it is: %w", err)
	}
	if g.desc.Name != name {
		return fmt.Errorf("it calls itself %q: rename the plugin block, or use another file", g.desc.Name)
	}
	if err := g.alive(ctx, h.timing.healthTimeout); err != nil {
		return fmt.Errorf("it does not answer health calls: %w", err)
	}
	return nil
}

// checkHealth ends a process that runs but does not answer.
func (g *generation) checkHealth() {
	ctx, cancel := untilClosed(g.proc.exited)
	defer cancel()
	timeout := g.timing.healthTimeout
	ticker := time.NewTicker(g.timing.healthInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-g.ask:
		case <-ctx.Done():
			return
		}
		err := g.alive(ctx, timeout)
		if err != nil {
			// Once more: while the daemon itself stood still, the time for the answer ran out.
			err = g.alive(ctx, timeout)
		}
		if err != nil && ctx.Err() == nil {
			g.stop(fmt.Errorf("it did not answer a health call within %v", timeout))
			return
		}
	}
}

func (g *generation) alive(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := g.health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	return err
}

// stop ends the process by force.
func (g *generation) stop(cause error) {
	g.mu.Lock()
	if g.cause == nil {
		g.cause = cause
	}
	g.mu.Unlock()
	g.proc.kill()
}

// drain lets the running calls finish until ctx ends, then asks the process to end.
func (g *generation) drain(ctx context.Context) {
	g.mu.Lock()
	g.cause = ErrClosed
	g.mu.Unlock()
	if ctx.Err() == nil {
		timeout := drainTimeout
		if deadline, ok := ctx.Deadline(); ok {
			timeout = max(0, time.Until(deadline))
		}
		ctx, cancel := context.WithTimeout(ctx, timeout+drainGrace)
		defer cancel()
		if err := g.client.Drain(ctx, timeout); err != nil {
			g.log.Warn("plugin did not finish its work", "err", err)
		}
	}
	g.quit()
}

const (
	// drainTimeout is for a Close without a deadline.
	drainTimeout = 10 * time.Second
	// drainGrace is what a plugin gets to answer once the time for its work is over.
	drainGrace = 500 * time.Millisecond
	// quitTimeout is ample for go-plugin's own end: it asks, waits for 2 s, and kills. It hangs when
	// the process does (GRPCClient.Close has no deadline).
	quitTimeout = 5 * time.Second
	// reapTimeout is how long SIGKILL may take. A process in uninterruptible sleep takes longer.
	reapTimeout = 5 * time.Second
)

// quit asks the process to end, unless it has, and sees to it that it does.
func (g *generation) quit() {
	g.once.Do(func() {
		quit := make(chan struct{})
		go func() {
			defer close(quit)
			g.plugin.Kill()
		}()
		timer := time.NewTimer(quitTimeout)
		defer timer.Stop()
		select {
		case <-quit:
		case <-timer.C:
		}
		g.proc.kill()
		if pid := g.proc.pid(); pid != 0 && !g.proc.waitExit(reapTimeout) {
			g.log.Error("plugin process cannot be ended", "pid", pid)
		}
	})
}

// end tells everybody that the process is gone, and why.
func (g *generation) end(cause error) {
	g.err = cause
	close(g.done)
}

// reason tells why the process ended.
func (g *generation) reason() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cause != nil {
		return g.cause
	}
	return g.proc.ending()
}

// release frees what is left when the process has ended.
func (g *generation) release() {
	g.quit()
	g.wg.Wait()
	g.stdout.flush()
	g.stderr.flush()
	if err := os.RemoveAll(g.dir); err != nil {
		g.log.Warn("remove the directory of a plugin", "err", err)
	}
}
