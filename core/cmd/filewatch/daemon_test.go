package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
)

// patience is how long a test waits for what must happen. It bounds failures only.
const patience = 60 * time.Second

// daemon is a running filewatch.
type daemon struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; read after done

	mu    sync.Mutex
	lines []line
	more  chan struct{} // closed and replaced when lines grows
}

// line is a line of the log.
type line struct {
	Level       string `json:"@level"`
	Message     string `json:"@message"`
	Module      string `json:"@module"`
	Sync        string `json:"sync"`
	Destination string `json:"destination"`
	Path        string `json:"path"`
	Op          string `json:"op"`
	Err         string `json:"err"`
	Text        string `json:"-"` // all of it
}

// startDaemon runs filewatch with the configuration until the test's end. Adjust may change the
// command before it starts. Its watchers are healthy: whatever happens, a rescan must find nothing that they
// missed.
func startDaemon(t testing.TB, config string, adjust ...func(*exec.Cmd)) *daemon {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sync.hcl")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, done: make(chan struct{}), more: make(chan struct{})}
	d.cmd = exec.Command("filewatch", "-config", file, "-log-level", "debug", "-log-format", "json")
	d.cmd.Env = append(os.Environ(), ownDirs(t)...)
	for _, f := range adjust {
		f(d.cmd)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.Stderr = w
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	read := make(chan struct{})
	go func() { defer close(read); d.read(r) }()
	go func() { defer close(d.done); d.err = d.cmd.Wait() }()
	t.Cleanup(func() {
		children := proc.Children(d.pid())
		d.signal(syscall.SIGTERM)
		select {
		case <-d.done:
		case <-time.After(patience):
			t.Errorf("filewatch did not end within %v of SIGTERM", patience)
			d.signal(syscall.SIGKILL)
			<-d.done
		}
		proc.WaitGone(t, children, 2*time.Second)
		<-read
		_ = r.Close()
		for _, l := range d.log() {
			if strings.Contains(l.Message, "should have reported") {
				t.Error(l.Text)
			}
		}
		if t.Failed() {
			d.dump()
		}
	})
	return d
}

var (
	ownMu sync.Mutex
	own   = map[string][]string{} // by the name of a test
)

// ownDirs returns the environment that keeps a test's daemons, and the commands that talk to them, apart
// from all others: a restarted daemon finds what the first one has left.
func ownDirs(t testing.TB) []string {
	ownMu.Lock()
	defer ownMu.Unlock()
	if own[t.Name()] == nil {
		dir, err := os.MkdirTemp("", "filewatch") // short, for the socket
		if err != nil {
			t.Fatal(err)
		}
		own[t.Name()] = []string{"STATE_DIRECTORY=" + filepath.Join(dir, "state"), "RUNTIME_DIRECTORY=" + filepath.Join(dir, "run")}
		t.Cleanup(func() {
			ownMu.Lock()
			defer ownMu.Unlock()
			delete(own, t.Name())
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
	}
	return own[t.Name()]
}

func (d *daemon) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l := line{Text: lines.Text()}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			l.Message = l.Text // a panic, say
		}
		d.mu.Lock()
		d.lines = append(d.lines, l)
		close(d.more)
		d.more = make(chan struct{})
		d.mu.Unlock()
	}
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

func (d *daemon) signal(s syscall.Signal) { _ = d.cmd.Process.Signal(s) }

// log returns the lines so far.
func (d *daemon) log() []line {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lines[:len(d.lines):len(d.lines)]
}

// dump shows the end of the log.
func (d *daemon) dump() {
	lines := d.log()
	if skipped := len(lines) - 150; skipped > 0 {
		d.t.Logf("%d lines before these", skipped)
		lines = lines[skipped:]
	}
	for _, l := range lines {
		d.t.Log(l.Text)
	}
}

// wait waits for a line, from the given number of lines on, that matches, and returns how many lines
// there are with it.
func (d *daemon) wait(from int, what string, match func(line) bool) int {
	d.t.Helper()
	deadline := time.After(patience)
	for {
		d.mu.Lock()
		lines, more := d.lines, d.more
		d.mu.Unlock()
		for ; from < len(lines); from++ {
			if match(lines[from]) {
				return from + 1
			}
		}
		select {
		case <-more:
		case <-d.done:
			d.t.Fatalf("filewatch ended before the log said %s", what)
		case <-deadline:
			d.t.Fatalf("timed out waiting for the log to say %s", what)
		}
	}
}

// waitMessage waits for a line of a sync block with the message.
func (d *daemon) waitMessage(from int, sync, message string) int {
	d.t.Helper()
	return d.wait(from, fmt.Sprintf("%q of sync %s", message, sync), func(l line) bool {
		return l.Sync == sync && l.Message == message
	})
}

// plugin returns the process of a built-in plugin, or 0.
func (d *daemon) plugin(name string) int {
	for _, pid := range proc.Children(d.pid()) {
		if strings.HasSuffix(proc.Cmdline(pid), " plugin "+name) {
			return pid
		}
	}
	return 0
}

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// dirs makes a source, with a file in it, and a destination directory.
func dirs(t *testing.T) (source, destination string) {
	t.Helper()
	base := t.TempDir()
	source, destination = filepath.Join(base, "source"), filepath.Join(base, "destination")
	for _, dir := range []string{source, destination} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(source, "first"), []byte("first"), 0o644); err != nil {
		t.Fatal(err)
	}
	return source, destination
}

// sshSync is a sync block over a private sshd.
func sshSync(name, source, destination string, s *sshd.Server, extra string) string {
	return fmt.Sprintf(`
sync %q {
  source      = %q
  destination = %q
  %s
  transport "rsync" {
    ssh { config_file = %q }
  }
}
`, name, source+"/", "127.0.0.1:"+destination, extra, s.ConfigFile)
}

// localSync is a sync block to a local directory.
func localSync(name, source, destination, extra string) string {
	return fmt.Sprintf("sync %q {\n  source = %q\n  destination = %q\n  %s\n}\n", name, source+"/", destination, extra)
}

// shell runs commands of an operator in dir.
func shell(t *testing.T, dir, script string) {
	t.Helper()
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
