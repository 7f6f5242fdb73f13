package rsync

import (
	"context"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/run"
)

// maxDaemonStandby is how long an rsync daemon's standby is trusted. Nothing tells when its connection is
// dead: ssh has its own questions for that, and a local one has no connection.
const maxDaemonStandby = 30 * time.Second

// startTime is ample for rsync to start ssh. Before that it has no children.
const startTime = time.Second

// minStandbyTimeout is the shortest timeout through which rsync can wait: both sides let each other hear
// something each timeout/2, in whole seconds.
const minStandbyTimeout = 2 * time.Second

// standby is an rsync that has connected, started the far end and agreed with it on everything, and now
// waits for its list: a change is sent in a tenth of the time. It looks at nothing before it has the list,
// neither at the source nor at the destination, and holds no file system: its root is "/", and each
// line of its list begins with the way to the source (see listFrom).
//
// It is good for one run, of a list, with just the arguments that it was started with. Whenever there is
// doubt about it, it is dropped: a run that starts its own rsync is always as good.
type standby struct {
	args    []string
	daemon  bool // it talks with an rsync daemon, by itself
	started time.Time
	master  *run.Process // of the shared connection that it uses; nil = none
	process *run.Process
	list    lateReader
	stdout  gate
	stderr  gate
	expiry  *time.Timer // nil unless it is in the transport's books
}

// prepare starts a standby that will take runs with these arguments, which end before the source. One
// that cannot be started is not missed.
func (s *session) prepare(ctx context.Context, args []string) {
	// A large file can wait for a connection.
	if s.req.Beside || s.config.Standby <= 0 || s.config.Timeout < minStandbyTimeout || s.source() == "" || ctx.Err() != nil {
		return
	}
	b, err := s.startWaiting(s.t.ctx, args, "/")
	if err != nil {
		sdk.Logger(ctx).Debug("no rsync on standby", "destination", s.req.Destination.String(), "err", err)
		return
	}
	quiet := s.config.Standby
	if b.daemon {
		quiet = min(quiet, maxDaemonStandby)
	}
	if old := s.t.keepStandby(s.peer(), b, quiet); old != nil {
		old.drop()
	}
}

// startWaiting starts an rsync that waits for its list, with arguments that end before the source, until ctx ends.
func (s *session) startWaiting(ctx context.Context, args []string, source string) (*standby, error) {
	b := &standby{
		args:    args,
		daemon:  s.req.Destination.Scheme == schemeDaemon,
		started: time.Now(),
		master:  s.master(),
		list:    lateReader{ready: make(chan struct{})},
		stdout:  gate{used: make(chan struct{})},
		stderr:  gate{used: make(chan struct{})},
	}
	p, err := s.start(ctx, run.Command{
		Path:   s.t.program,
		Args:   append(slices.Clone(args), "--", source, target(s.req.Destination)),
		Env:    []string{"LC_ALL=C"},
		Stdin:  &b.list,
		Stdout: &b.stdout,
		Stderr: &b.stderr,
	})
	b.process = p
	return b, err
}

// keepStandby enters b in the transport's books for a time. It returns what has to be dropped for it: b
// itself after Close.
func (t *transport) keepStandby(key peer, b *standby, quiet time.Duration) *standby {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.expiry = time.AfterFunc(quiet, func() {
		if t.takeStandby(key, b) {
			b.drop()
		}
	})
	if t.standbys == nil {
		return b
	}
	old := t.standbys[key]
	t.standbys[key] = b
	return old
}

// takeStandby takes b out of the transport's books and reports whether it was there.
func (t *transport) takeStandby(key peer, b *standby) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.standbys[key] != b {
		return false
	}
	delete(t.standbys, key)
	return true
}

// standby takes the standby for a run with these arguments; nil = there is none that can be trusted.
func (s *session) standby(args []string) *standby {
	key := s.peer()
	s.t.mu.Lock()
	b := s.t.standbys[key]
	delete(s.t.standbys, key)
	s.t.mu.Unlock()
	if b == nil {
		return nil
	}
	b.expiry.Stop()
	if !s.fits(b, args) {
		b.drop()
		return nil
	}
	return b
}

// fits reports whether b can be trusted with a run with these arguments.
func (s *session) fits(b *standby, args []string) bool {
	return slices.Equal(b.args, args) && b.master == s.master() && b.alive()
}

// master is the shared connection that the session's runs use now.
func (s *session) master() *run.Process {
	if s.conn == nil {
		return nil
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.conn.master
}

// source is the way from "/" to the root, without a slash at either end; "" = it cannot be told to a standby.
func (s *session) source() string {
	p := path.Clean(s.req.Source)
	if p != strings.TrimSuffix(s.req.Source, "/") || strings.ContainsRune(p, 0) {
		return ""
	}
	return strings.TrimPrefix(p, "/")
}

// listFrom returns a list, of lines that begin with "./", for a run whose root is "/". rsync enters what
// stands before "/./" in a line, and sends what stands behind it (rsync(1), --relative). It reports false
// when a line is too long then.
func listFrom(source string, list []string) ([]string, bool) {
	out := make([]string, len(list))
	for i, line := range list {
		out[i] = source + "/./" + line
		if len(out[i]) > maxEntry {
			return nil, false
		}
	}
	return out, true
}

// headStart is what a run has until the next rsync is started, from when it has said what it does. The far end
// puts a small file in place within 2 ms of that, and the run ends some 40 ms later.
const headStart = 10 * time.Millisecond

// alive reports whether nothing is known to be wrong with the process and its connection.
func (b *standby) alive() bool {
	select {
	case <-b.process.Done():
		return false
	default:
	}
	// An idle rsync does not notice that its child has ended: ssh, which has lost its connection, or the
	// rsync at a local destination.
	return b.daemon || time.Since(b.started) < startTime || !childless(b.process.PID())
}

// runStandby runs a list on the standby and starts the next one. It returns no outcome if there is none,
// or if it turned out to be of no use.
func (s *session) runStandby(ctx context.Context, args []string, j job, m mode) (*outcome, error) {
	b := s.standby(args)
	if b == nil {
		return nil, nil
	}
	list, ok := listFrom(s.source(), j.list)
	if !ok {
		b.drop()
		return nil, nil
	}
	sdk.Logger(ctx).Trace("run rsync on standby", "list", len(list))
	var next sync.WaitGroup
	next.Go(func() {
		// Not sooner: it would take the processor from what is urgent.
		select {
		case <-b.stdout.used:
			select {
			case <-time.After(headStart):
			case <-b.process.Done():
			}
		case <-b.process.Done():
		}
		s.prepare(ctx, args)
	})
	started := time.Now()
	out, err := s.give(ctx, b, list, j, m)
	next.Wait()
	if err != nil {
		return nil, err
	}
	// It may have died unnoticed. What has taken its time would take it again, such as a timeout.
	if !out.ran() && !out.stuck && time.Since(started) < s.config.Timeout/2 {
		sdk.Logger(ctx).Debug("the rsync on standby was of no use", "destination", s.req.Destination.String(), "err", orElse(firstLine(out.exit.Stderr), out.exit.String()))
		s.t.dropStandby(s.peer())
		return nil, nil
	}
	return out, nil
}

// give has b run a job, with its list.
func (s *session) give(ctx context.Context, b *standby, list []string, j job, m mode) (*outcome, error) {
	out := s.outcome(m)
	b.stdout.open(&out.stdout)
	b.stderr.open(&out.messages)
	b.list.give(list)
	err := s.await(ctx, b.process, out)
	s.presume(j, out)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// drop ends a standby that was not used, the hard way: nothing is under way, and on SIGTERM rsync takes half
// a second. It must not see the end of its list, for it would make the destination directory if that is
// missing.
func (b *standby) drop() {
	if b.expiry != nil {
		b.expiry.Stop()
	}
	b.process.Kill()
	go func() {
		b.process.Wait()
		b.list.give(nil)
	}()
}

// dropStandby ends the standby of a peer, if there is one.
func (t *transport) dropStandby(key peer) {
	t.mu.Lock()
	b := t.standbys[key]
	delete(t.standbys, key)
	t.mu.Unlock()
	if b != nil {
		b.drop()
	}
}

// closeStandbys ends all of them for good and returns when they have ended.
func (t *transport) closeStandbys() {
	t.mu.Lock()
	all := t.standbys
	t.standbys = nil
	t.mu.Unlock()
	for _, b := range all {
		b.drop()
	}
	for _, b := range all {
		b.process.Wait()
	}
}

// lateReader is a list that is not known yet: Read waits for it.
type lateReader struct {
	ready chan struct{} // closed by give
	list  io.Reader
}

// give sets the list, once.
func (r *lateReader) give(list []string) {
	r.list = lines0(list)
	close(r.ready)
}

func (r *lateReader) Read(p []byte) (int, error) {
	<-r.ready
	return r.list.Read(p)
}

// lines0 is a list as rsync reads it with --from0.
func lines0(list []string) io.Reader {
	if len(list) == 0 {
		return strings.NewReader("")
	}
	return strings.NewReader(strings.Join(list, "\x00") + "\x00")
}

// gate drops what is written to it until it is open: a daemon's greeting, for example.
type gate struct {
	used chan struct{} // closed when something has gone through
	once sync.Once

	mu sync.Mutex
	to io.Writer // nil = closed
}

func (g *gate) open(to io.Writer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.to = to
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.to == nil {
		return len(p), nil
	}
	g.once.Do(func() { close(g.used) })
	return g.to.Write(p)
}
