package rsync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/run"
	"github.com/filewatch/filewatch/sdk/wire"
)

const (
	// maxControlPath is what fits in a socket address with the suffix that ssh adds for a moment.
	maxControlPath = 90
	// openTimeout bounds the start of a shared connection. ConnectTimeout ends most before it.
	openTimeout = 30 * time.Second
	// masterGrace: ssh ends at once on SIGTERM; the plugin as a whole has a second.
	masterGrace = 500 * time.Millisecond
	// maxSilence is how long a master may take to answer. That the far end is silent it finds out by itself.
	maxSilence = 15 * time.Second
)

// Bounds of the pause before a shared connection that keeps failing is tried again. Meanwhile each run
// connects by itself.
const (
	minPause = time.Second
	maxPause = time.Minute
)

// conn is the shared ssh connection to one destination: a master process that the runs' own ssh
// processes use through its control socket. It only makes runs fast; without it they connect by
// themselves.
type conn struct {
	ctx     context.Context // of the master; ends with Close of the transport
	remote  string
	command []string // ssh with its options
	path    string   // control socket; "" = no place for one
	beside  bool     // see peer

	mu     sync.Mutex   // guards all fields below
	master *run.Process // nil before the first start
	since  time.Time    // when master became usable
	pause  time.Duration
	next   time.Time // no start before
}

// shell returns the remote shell for rsync.
func (c *conn) shell() []string {
	control := c.path
	if control == "" {
		control = "none"
	}
	return append(slices.Clone(c.command), "-S", control)
}

// open starts the master unless it runs. It returns an error only when a run could not connect either.
func (c *conn) open(ctx context.Context, e sdk.Endpoint) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.path == "" || c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	if c.master != nil {
		if c.answers() {
			return nil
		}
		// Dead, or without its socket, which a cleaner of temporary files may have taken.
		c.master.Stop()
		exit := c.master.Wait()
		sdk.Logger(ctx).Debug("ssh connection ended", "destination", e.String(), "err", orElse(firstLine(exit.Stderr), exit.String()))
		c.master = nil
		// One that lasted is not to blame.
		if time.Since(c.since) > maxPause {
			c.pause = 0
		}
	}
	if time.Now().Before(c.next) {
		return nil
	}
	// Doubles while connections end early; the first restart is at once.
	c.next = time.Now().Add(c.pause)
	c.pause = min(max(2*c.pause, minPause), maxPause)
	return c.start(ctx, e)
}

func (c *conn) start(ctx context.Context, e sdk.Endpoint) error {
	_ = os.Remove(c.path) // of a master that was killed; where it stays, ssh says so
	args := append(slices.Clone(c.command[1:]), "-S", c.path, "-M", "-N")
	if e.User != "" {
		args = append(args, "-l", e.User)
	}
	p, err := run.Start(c.ctx, run.Command{
		Path:  c.command[0],
		Args:  append(args, e.Host),
		Env:   []string{"LC_ALL=C"},
		Grace: masterGrace,
	})
	if err != nil {
		if run.IsNotFound(err) {
			return sdk.Misconfigured(fmt.Errorf("%s is not installed on this machine: install the OpenSSH client", c.command[0]))
		}
		return err
	}
	if c.beside {
		yield(p)
	}
	if err := c.awaitSocket(ctx, p); err != nil {
		p.Stop()
		return err
	}
	select {
	case <-p.Done():
		exit := p.Wait()
		if err := sshFailure(c.remote, exit.Stderr); err != nil {
			return err
		}
		sdk.Logger(ctx).Warn("no shared ssh connection; each transfer connects by itself", "destination", e.String(), "err", orElse(firstLine(exit.Stderr), exit.String()))
	default:
		c.master, c.since = p, time.Now()
	}
	return nil
}

// awaitSocket waits until the master answers or has ended.
func (c *conn) awaitSocket(ctx context.Context, p *run.Process) error {
	timeout := time.NewTimer(openTimeout)
	defer timeout.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-p.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			return sdk.Unavailable(fmt.Errorf("connect to %s: no ssh connection within %v", c.remote, openTimeout))
		case <-poll.C:
			// The socket appears under this name only when the server has let us in.
			if c.answers() {
				return nil
			}
		}
	}
}

// answers reports whether somebody listens on the control socket.
func (c *conn) answers() bool {
	s, err := net.DialTimeout("unix", c.path, time.Second)
	if err != nil {
		return false
	}
	_ = s.Close() // it was only to see
	return true
}

// tend ends a master that was last heard longer ago than it may be silent: it is frozen, and all that runs over it
// waits for good. While something runs it is to be called every second.
func (c *conn) tend(heard *time.Time, silence time.Duration) {
	c.mu.Lock()
	master := c.master
	c.mu.Unlock()
	switch {
	case master == nil || c.greets():
		*heard = time.Now()
	case time.Since(*heard) > silence:
		master.Stop()
	}
}

// greets reports whether the master itself answers, rather than the kernel for it: it says something first
// (PROTOCOL.mux of OpenSSH).
func (c *conn) greets() bool {
	s, err := net.DialTimeout("unix", c.path, time.Second)
	if err != nil {
		return false
	}
	defer s.Close()
	_ = s.SetReadDeadline(time.Now().Add(time.Second))
	n, _ := s.Read(make([]byte, 1))
	return n > 0
}

// stop ends the master and returns when it has ended. The next open starts another.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.master == nil {
		return
	}
	c.master.Stop()
	c.master.Wait()
	c.master = nil
}

// connect returns the connection of a session, with its master running if that is possible.
func (t *transport) connect(ctx context.Context, s *session) (*conn, error) {
	key := s.peer()
	command := sshCommand(s.config.ssh(), s.req.Destination)
	t.mu.Lock()
	c := t.conns[key]
	if c == nil || !slices.Equal(c.command, command) {
		if c != nil {
			go c.stop() // the configuration has changed
		}
		path, err := t.controlPath()
		if err != nil {
			sdk.Logger(ctx).Warn("no shared ssh connection; each transfer connects by itself", "destination", s.req.Destination.String(), "err", err)
		}
		c = &conn{ctx: t.ctx, remote: s.remote(), command: command, path: path, beside: key.beside}
		t.conns[key] = c
	}
	t.mu.Unlock()
	return c, c.open(ctx, s.req.Destination)
}

// sshCommand returns ssh with its options, without those that differ between master and runs. ssh
// takes the first value given for an option: first what must be so, then the operator's, then defaults.
func sshCommand(cfg sshConfig, e sdk.Endpoint) []string {
	command := slices.Clone(cfg.Command)
	if len(command) == 0 {
		command = []string{"ssh"}
	}
	// A persistent master would go to the background, out of sight.
	command = append(command, "-oBatchMode=yes", "-oControlMaster=no", "-oControlPersist=no")
	for _, key := range slices.Sorted(maps.Keys(cfg.Options)) {
		command = append(command, "-o"+key+"="+cfg.Options[key])
	}
	command = append(command,
		"-oConnectTimeout=10",
		// A dead connection ends after 30 s of silence, by one unanswered message: each takes a millisecond of
		// processor time here and there, also of those that have nothing to do.
		"-oServerAliveInterval=15", "-oServerAliveCountMax=1",
		// rsync's own compression is better.
		"-oCompression=no",
		// Banners and notes would be taken for messages of rsync.
		"-oLogLevel=ERROR",
		"-oClearAllForwardings=yes", "-T", "-x")
	port := cfg.Port
	if port == 0 {
		port = e.Port
	}
	if port != 0 {
		command = append(command, "-p", strconv.Itoa(port))
	}
	if cfg.IdentityFile != "" {
		command = append(command, "-i", expandHome(cfg.IdentityFile))
	}
	if cfg.ConfigFile != "" {
		command = append(command, "-F", expandHome(cfg.ConfigFile))
	}
	return command
}

// controlPath returns a new name for a control socket. t.mu is held.
func (t *transport) controlPath() (string, error) {
	if t.dir == "" {
		dir, err := privateDir()
		if err != nil {
			return "", fmt.Errorf("make a directory for control sockets: %w", err)
		}
		t.dir = dir
	}
	t.sockets++
	return filepath.Join(t.dir, strconv.Itoa(t.sockets)), nil
}

// privateDir makes a directory that only we can enter and whose name is short enough.
func privateDir() (string, error) {
	var errs []error
	for _, parent := range []string{os.Getenv(wire.EnvRunDir), os.TempDir(), "/tmp"} {
		// ssh expands "%" and "${" in the name of the socket.
		if parent == "" || strings.ContainsAny(parent, "%$") {
			continue
		}
		dir, err := os.MkdirTemp(parent, "ssh")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(dir)+len("/1234567890") <= maxControlPath {
			return dir, nil
		}
		errs = append(errs, fmt.Errorf("%s is too long for a socket", dir), os.Remove(dir))
	}
	return "", errors.Join(errs...)
}

// forget drops what is known about the far end of a session after a failure: the next request finds
// out anew, over a new connection if the old one may be at fault.
func (t *transport) forget(s *session, err error) {
	t.mu.Lock()
	delete(t.caps, s.peer())
	t.mu.Unlock()
	t.dropStandby(s.peer())
	if s.conn != nil && sdk.IsUnavailable(err) {
		s.conn.stop()
	}
}

// closeConns ends all masters and removes their sockets.
func (t *transport) closeConns() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range t.conns {
		wg.Go(c.stop)
	}
	wg.Wait()
	if t.dir == "" {
		return nil
	}
	dir := t.dir
	t.dir = ""
	return os.RemoveAll(dir)
}
