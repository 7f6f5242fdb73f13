package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/filewatch/filewatch/sdk/run"
)

// contender is a way to keep a destination in step.
type contender struct {
	name string
	// start starts it; it runs until the end of the scope.
	start func(b *bench, s *scope, p place) *running
	// It takes the time of so many changes of the fastest. Less is measured of it.
	slowness int
	// It is too slow to be measured in more than one round.
	once bool
}

// inOneRound returns the same, to be measured in one round only.
func (c contender) inOneRound() *contender {
	c.once = true
	return &c
}

// running is a contender at work.
type running struct {
	pids []int // its processes, of which all others descend
	// changed tells one that does not watch that a path, relative to the source, has changed; else nil.
	changed func(path string)
	// rest lets it get ready for the next change; may be nil.
	rest func()
	// ended is the processor time of what it started beside pids, and has ended; may be nil.
	ended func() time.Duration
}

// spent returns the processor time of the contender: at the source, and at the far end.
func (r *running) spent(p place) (near, far time.Duration) {
	near = spent(r.pids...)
	if r.ended != nil {
		near += r.ended()
	}
	return near, spent(p.server.PID())
}

// quiet returns when the contender does nothing, and will not for a moment: a run of rsync that follows
// another one begins sooner.
func (r *running) quiet(s *scope, p place) {
	const (
		span  = 25 * time.Millisecond
		busy  = time.Millisecond / 2 // more than a look at a clock takes
		spans = 4
	)
	if r.rest != nil {
		r.rest()
	}
	last, calm := time.Duration(0), 0
	s.poll("quiet after a change", 5*time.Minute, span, func() bool {
		near, far := r.spent(p)
		calm++
		if near+far > last+busy {
			calm = 0
		}
		last = near + far
		return calm == spans
	})
}

var (
	script       = &contender{name: "inotifywait + rsync", start: startScript(false), slowness: 5}
	scriptShared = &contender{name: "inotifywait + rsync, shared connection", start: startScript(true), slowness: 2}
	lsyncdBest   = &contender{name: "lsyncd, delay 0, shared connection", start: startLsyncd("delay = 0,", true), slowness: 1}
	lsyncdPlain  = &contender{name: "lsyncd as shipped, delay 15", start: startLsyncd("", false), slowness: 10, once: true}
	floor        = &contender{name: "bare rsync, prewarmed", start: startFloor, slowness: 1}
	filewatch    = &contender{name: "filewatch", start: startFilewatch, slowness: 1}
	// parallel is for first syncs alone.
	parallel = &contender{name: "filewatch, parallel = 4", slowness: 1}
)

// startScript starts what operators have written so often, as they have.
func startScript(shared bool) func(*bench, *scope, place) *running {
	const text = `inotifywait -mrq --event modify,delete,create,attrib "$SRC" | while read -r line; do
	rsync -avzP --delete --timeout=100 "$SRC" "$DEST"
done`
	return func(_ *bench, s *scope, p place) *running {
		r := &running{}
		var config string
		if shared {
			var master int
			config, master = p.share(s)
			r.pids = append(r.pids, master)
		} else {
			config = p.config(s, "")
		}
		env := []string{"SRC=" + p.source + "/", "DEST=" + p.target(), "RSYNC_RSH=ssh -F " + config}
		shell := s.start(run.Command{Path: "sh", Args: []string{"-c", text}, Env: env})
		r.pids = append(r.pids, shell.PID())
		return r
	}
}

// startLsyncd starts lsyncd with settings of its sync. It keeps owners and permissions, as all others do.
func startLsyncd(settings string, shared bool) func(*bench, *scope, place) *running {
	const text = `settings { nodaemon = true, insist = true, logfile = %q }
sync {
	default.rsyncssh, source = %q, host = %q, targetdir = %q, %s
	rsync = { archive = true, rsh = %q }, ssh = { _extra = { "-F", %q } },
}
`
	return func(_ *bench, s *scope, p place) *running {
		r := &running{}
		var config string
		if shared {
			var master int
			config, master = p.share(s)
			r.pids = append(r.pids, master)
		} else {
			config = p.config(s, "")
		}
		file := filepath.Join(s.TempDir(), "lsyncd.lua")
		s.check(os.WriteFile(file, fmt.Appendf(nil, text, file+".log", p.source, p.server.Host, p.destination, settings, "ssh -F "+config, config), 0o600))
		r.pids = append(r.pids, s.start(run.Command{Path: "lsyncd", Args: []string{file}}).PID())
		return r
	}
}

// startFilewatch starts filewatch with its defaults, and returns when all is in sync.
func startFilewatch(b *bench, s *scope, p place) *running {
	d := b.daemon(s, p, "")
	d.wait(s)
	return &running{pids: []int{d.PID()}}
}

// daemon is filewatch, with a state of its own.
type daemon struct {
	*run.Process
	program string
	env     []string
	inSync  chan struct{} // closed once its log says so
}

// logReader closes said once what is written holds the text.
type logReader struct {
	text string
	said chan struct{}
	line []byte // that has not ended yet
}

func (r *logReader) Write(p []byte) (int, error) {
	if r.text != "" {
		r.line = append(r.line, p...)
		if bytes.Contains(r.line, []byte(r.text)) {
			close(r.said)
			r.text = ""
		}
		r.line = r.line[bytes.LastIndexByte(r.line, '\n')+1:]
	}
	return len(p), nil
}

// daemon starts filewatch with its defaults and further settings of its transport.
func (b *bench) daemon(s *scope, p place, settings string) *daemon {
	dir := s.TempDir()
	d := &daemon{program: b.filewatch, env: []string{"STATE_DIRECTORY=" + filepath.Join(dir, "state"), "RUNTIME_DIRECTORY=" + filepath.Join(dir, "run")}, inSync: make(chan struct{})}
	file := filepath.Join(dir, "sync.hcl")
	text := fmt.Sprintf("sync \"bench\" {\n  source = %q\n  destination = %q\n  transport \"rsync\" {\n    ssh { config_file = %q }\n    %s\n  }\n}\n",
		p.source+"/", p.target(), p.config(s, ""), settings)
	s.check(os.WriteFile(file, []byte(text), 0o600))
	d.Process = s.start(run.Command{Path: d.program, Args: []string{"-config", file}, Env: d.env, Stderr: &logReader{text: "in sync", said: d.inSync}})
	return d
}

// wait returns when everything is in sync for the first time.
func (d *daemon) wait(s *scope) {
	select {
	case <-d.inSync:
	case <-d.Done():
		exit := d.Wait()
		s.Fatalf("filewatch: %v: %s", exit, exit.Stderr)
	case <-time.After(20 * time.Minute):
		s.Fatalf("filewatch is not in sync after 20 minutes")
	case <-s.ctx.Done():
		s.check(s.ctx.Err())
	}
}
