package pluginhost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/plan"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/schema"
)

var _ plan.Catalog = (*Catalog)(nil)

// A plan's plugin files are programs.
var _ = Program(plan.PluginFile{})

// logBuffer is where the daemon logs to.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// testTiming restarts faster than defaultTiming.
func testTiming() timing {
	t := defaultTiming
	t.backoffMin = 50 * time.Millisecond
	t.backoffMax = 400 * time.Millisecond
	return t
}

// newTestHost returns a host whose end leaves no process, file or goroutine, and its log.
func newTestHost(t *testing.T, timing timing) (*Host, *logBuffer) {
	t.Helper()
	before := runtime.NumGoroutine()
	var log logBuffer
	h, err := newHost(Config{
		Logger: hclog.New(&hclog.LoggerOptions{
			Level: hclog.Info, Output: &log, DisableTime: true,
		}),
		Builtins: builtins,
	}, timing, runBases())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%.5000s", log.String())
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("Close: %v", err)
		}
		if _, err := os.Lstat(h.run.path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("run directory after Close: %v", err)
		}
		deadline := time.Now().Add(5 * time.Second)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	return h, &log
}

// lease returns the running process of a built-in plugin.
func lease(t *testing.T, h *Host, name string) *Lease {
	t.Helper()
	p, err := h.Plugin(Program{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	l, err := p.Client(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ask makes the plugin do what path says.
func ask(ctx context.Context, l *Lease, path string, progress func(sdk.Progress)) (sdk.Result, error) {
	if progress == nil {
		progress = func(sdk.Progress) {}
	}
	return l.Sync(ctx, sdk.SyncRequest{Sync: "docker", Changes: []sdk.Change{{Path: path}}}, progress)
}

// hang starts a call that does not end and returns, once it is under way, where its error will be.
func hang(t *testing.T, l *Lease) <-chan error {
	t.Helper()
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := ask(context.Background(), l, "hang", func(sdk.Progress) { close(begun) })
		ended <- err
	}()
	select {
	case <-begun:
	case err := <-ended:
		t.Fatalf("the call ended at once: %v", err)
	}
	return ended
}

// soon waits for c, which the plugin's end must bring about.
func soon[T any](t *testing.T, what string, c <-chan T, within time.Duration) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(within):
		t.Fatalf("not within %v: %s", within, what)
		panic("unreachable")
	}
}

func TestCall(t *testing.T) {
	h, _ := newTestHost(t, testTiming())
	l := lease(t, h, "steady")
	result, err := ask(t.Context(), l, "pid", nil)
	if err != nil || int(result.Files) != l.PID() {
		t.Errorf("the plugin's pid is %d, %v, want %d", result.Files, err, l.PID())
	}
	if again := lease(t, h, "steady"); again.PID() != l.PID() {
		t.Errorf("a second user got another process")
	}
	if other := lease(t, h, "other"); other.PID() == l.PID() {
		t.Errorf("two plugins share a process")
	}
	if _, err := ask(t.Context(), l, "unavailable", nil); !sdk.IsUnavailable(err) || err.Error() != "no route" {
		t.Errorf("error %v, want the plugin's own", err)
	}
	if l.Err() != nil {
		t.Errorf("Err of a running process: %v", l.Err())
	}
}

func TestDescribeAndValidate(t *testing.T) {
	h, _ := newTestHost(t, testTiming())
	c := h.Catalog(nil)
	got, err := c.Describe(t.Context(), "steady")
	if err != nil {
		t.Fatal(err)
	}
	want := sdk.Description{Name: "steady", Version: "1.2.3", Transport: &schema.Schema{
		Attributes: []schema.Attribute{{Name: "greeting", Type: "string"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Describe (-want +got):\n%s", diff)
	}
	diags, err := c.Validate(t.Context(), "steady", sdk.KindTransport, sdk.ValidateRequest{Config: json.RawMessage(`{"greeting":"go away"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sdk.Diagnostics{{Summary: "Rude", Detail: "go away", Path: []any{"greeting"}}}, diags); diff != "" {
		t.Errorf("Validate (-want +got):\n%s", diff)
	}
}

func TestValidateFails(t *testing.T) {
	timing := testTiming()
	timing.validate = 300 * time.Millisecond
	h, _ := newTestHost(t, timing)
	c := h.Catalog(nil)
	tests := []struct{ greeting, want string }{
		{"er", "plugin steady did not judge the configuration within 300ms"},
		{"die", ""}, // the connection's end or the process's, whichever is noticed first
	}
	for _, test := range tests {
		_, err := c.Validate(t.Context(), "steady", sdk.KindTransport, sdk.ValidateRequest{
			Config: json.RawMessage(`{"greeting":"` + test.greeting + `"}`),
		})
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("Validate of %q: %v, want %q", test.greeting, err, test.want)
		}
	}
	eventually(t, "a new process judges", 10*time.Second, func() bool {
		_, err := c.Validate(t.Context(), "steady", sdk.KindTransport, sdk.ValidateRequest{})
		return err == nil
	})
}

// A process that is killed while it is asked is no mistake of the configuration.
func TestKilledWhileAsked(t *testing.T) {
	h, _ := newTestHost(t, testTiming())
	c := h.Catalog(nil)
	t.Run("start", func(t *testing.T) {
		t.Setenv("STUMBLE", filepath.Join(t.TempDir(), "once"))
		if d, err := c.Describe(t.Context(), "stumbling"); err != nil || d.Name != "stumbling" {
			t.Errorf("%+v, %v", d, err)
		}
	})
	t.Run("judge", func(t *testing.T) {
		t.Setenv("STUMBLE", filepath.Join(t.TempDir(), "once"))
		diags, err := c.Validate(t.Context(), "steady", sdk.KindTransport, sdk.ValidateRequest{Config: json.RawMessage(`{"greeting":"killed"}`)})
		if err != nil || len(diags) > 0 {
			t.Errorf("%v, %v", diags, err)
		}
	})
}

// Retain ends what nobody needs, and only that; who needs it all the same gets it.
func TestRetain(t *testing.T) {
	h, _ := newTestHost(t, testTiming())
	c := h.Catalog(nil)
	pids := map[string]int{}
	for _, name := range []string{"steady", "other"} {
		p, err := c.Plugin(name)
		if err != nil {
			t.Fatal(err)
		}
		lease, err := p.Client(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pids[name] = lease.PID()
	}
	c.Retain(t.Context(), []string{"steady", "noisy"})
	eventually(t, "the process that is not needed ends", 10*time.Second, func() bool {
		return errors.Is(syscall.Kill(pids["other"], 0), syscall.ESRCH)
	})
	pid := func(name string) int {
		result, err := c.Transport(name).Sync(t.Context(), pidRequest, func(sdk.Progress) {})
		if err != nil {
			t.Fatal(err)
		}
		return int(result.Files)
	}
	if pid("steady") != pids["steady"] {
		t.Error("the process that is needed is another one")
	}
	if pid("other") == pids["other"] {
		t.Error("it has not ended")
	}
	// Close waits for those as well.
	c.Retain(t.Context(), nil)
}

func TestDescribeFails(t *testing.T) {
	timing := testTiming()
	timing.start = 2 * time.Second
	h, _ := newTestHost(t, timing)
	c := h.Catalog([]Program{{Name: "gone", Path: "/nonexistent"}, {Name: "Bad/Name", Path: "/x"}, {Name: "relative", Path: "x"}})
	tests := []struct{ name, want string }{
		{"staedy", `there is no plugin "staedy"; did you mean "steady"? (known: `},
		{"s3", `there is no plugin "s3" (known: `},
		{"s3", `needs a block plugin "s3" with its path`},
		{"", `there is no plugin ""`},
		{"Bad/Name", `"Bad/Name" cannot be the name of a plugin`},
		{"relative", `plugin relative: path "x" is not absolute`},
		{"gone", "plugin gone does not start: open /nonexistent: no such file or directory"},
		{"broken", "plugin broken does not start: it ended before it was ready: exit status 3: cannot go on"},
		{"impostor", `plugin impostor does not start: it calls itself "steady"`},
		{"silent", "plugin silent does not start: it was not ready within 2s: thinking"},
		{"tcp", "plugin tcp does not start: it listens on tcp, not on a unix socket"},
	}
	for _, test := range tests {
		if _, err := c.Describe(t.Context(), test.name); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Describe(%q): %v, want %q in it", test.name, err, test.want)
		}
	}
	// A later one does not wait for the supervisor's next try.
	if _, err := c.Describe(t.Context(), "broken"); err == nil {
		t.Errorf("Describe of a broken plugin: no error")
	}
}

func TestClientGivesUpWithTheReason(t *testing.T) {
	timing := testTiming()
	timing.backoffMin, timing.backoffMax = time.Hour, time.Hour
	h, log := newTestHost(t, timing)
	p, err := h.Plugin(Program{Name: "broken"})
	if err != nil {
		t.Fatal(err)
	}
	starts := func() uint64 {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.failures
	}
	eventually(t, "the first start fails", 20*time.Second, func() bool { return starts() > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = p.Client(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "cannot go on") {
		t.Errorf("Client: %v, want the deadline and the reason", err)
	}
	if n := starts(); n != 1 {
		t.Errorf("it was started %d times, want one and a long wait", n)
	}
	if strings.Contains(log.String(), "[ERROR]") {
		t.Errorf("the failure of a plugin that nobody uses yet is in the log:\n%s", log.String())
	}
}

func TestKilledPluginComesBack(t *testing.T) {
	timing := testTiming()
	timing.backoffMin = time.Hour // so a wait would be seen
	h, _ := newTestHost(t, timing)
	l := lease(t, h, "steady")
	bystander := lease(t, h, "other")
	call := hang(t, l)
	if err := syscall.Kill(l.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	soon(t, "Done", l.Done(), time.Second)
	if err := soon(t, "the end of the call", call, time.Second); !sdk.IsUnavailable(err) {
		t.Errorf("call under way: %v, want unavailable", err)
	}
	if l.Err() == nil || l.Err().Error() != "signal: killed" {
		t.Errorf("Err = %v, want signal: killed", l.Err())
	}
	if _, err := ask(t.Context(), l, "pid", nil); !sdk.IsUnavailable(err) || err.Error() != "plugin steady is gone: signal: killed" {
		t.Errorf("call afterwards: %v, want that the plugin is gone", err)
	}
	next := lease(t, h, "steady")
	if next.PID() == l.PID() {
		t.Fatal("the dead process was lent out again")
	}
	if _, err := ask(t.Context(), next, "pid", nil); err != nil {
		t.Errorf("call of the new process: %v", err)
	}
	if bystander.Err() != nil {
		t.Errorf("another plugin died with it: %v", bystander.Err())
	}
}

// Whatever point of its life it is killed at, it comes back.
func TestKilledAgainAndAgain(t *testing.T) {
	timing := testTiming()
	timing.healthy = 0 // every restart is at once
	h, log := newTestHost(t, timing)
	for range 10 {
		l := lease(t, h, "steady")
		_ = syscall.Kill(l.PID(), syscall.SIGKILL)
		soon(t, "Done", l.Done(), 5*time.Second)
	}
	if _, err := ask(t.Context(), lease(t, h, "steady"), "pid", nil); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "[INFO]  plugin is running: plugin=steady") {
		t.Error("the log does not tell that the plugin is back")
	}
}

// A process that does not answer is ended: soon while a transfer waits for it, and in time without one.
func TestStoppedPluginIsReplaced(t *testing.T) {
	for name, busy := range map[string]bool{"busy": true, "idle": false} {
		t.Run(name, func(t *testing.T) {
			timing := testTiming()
			timing.healthInterval, timing.callInterval, timing.healthTimeout = 50*time.Millisecond, time.Hour, time.Second
			if busy {
				timing.healthInterval, timing.callInterval = timing.callInterval, timing.healthInterval
			}
			h, _ := newTestHost(t, timing)
			l := lease(t, h, "steady")
			var call <-chan error
			if busy {
				call = hang(t, l)
			}
			if err := syscall.Kill(l.PID(), syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			soon(t, "Done", l.Done(), 20*time.Second)
			if want := "it did not answer a health call within 1s"; l.Err() == nil || l.Err().Error() != want {
				t.Errorf("Err = %v, want %q", l.Err(), want)
			}
			if busy {
				if err := soon(t, "the end of the call", call, time.Second); !sdk.IsUnavailable(err) {
					t.Errorf("call under way: %v, want unavailable", err)
				}
			}
			if next := lease(t, h, "steady"); next.PID() == l.PID() {
				t.Error("the stopped process was lent out again")
			}
		})
	}
}

// Only while a call is under way is there more to ask.
func TestAskDuring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &generation{timing: timing{callInterval: 10 * time.Second}, ask: make(chan struct{}, 1)}
		asked := func(d time.Duration) (n int) {
			for end := time.After(d); ; {
				select {
				case <-g.ask:
					n++
				case <-end:
					return n
				}
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		go g.askDuring(ctx)
		if n := asked(35 * time.Second); n != 3 {
			t.Errorf("asked %d times within 35 s, want 3", n)
		}
		cancel()
		if n := asked(time.Hour); n != 0 {
			t.Errorf("asked %d times after the call", n)
		}
	})
}

func TestNoise(t *testing.T) {
	h, log := newTestHost(t, testTiming())
	l := lease(t, h, "noisy")
	if _, err := ask(t.Context(), l, "print", nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"[WARN]  noisy: before the handshake: printed_to=stdout\n",
		"[WARN]  noisy: " + strings.Repeat("o", maxText) + " … (line cut): printed_to=stdout\n",
		"[INFO]  noisy: {\"@level\":null}\n",
		"[INFO]  noisy: {\"@message\":1}\n",
		"[INFO]  noisy: {\"@timestamp\":5}\n",
		"[INFO]  noisy: " + strings.Repeat("e", maxText) + " … (line cut)\n",
		"[WARN]  noisy: 1|1|unix|/nowhere|grpc: printed_to=stdout\n",
		"[WARN]  noisy: hello from the plugin: sync=docker n=1\n",
		"[WARN]  noisy: on stdout: printed_to=stdout\n",
		"[INFO]  noisy: on stderr\n",
	} {
		eventually(t, fmt.Sprintf("%.100q in the log", want), 10*time.Second, func() bool {
			return strings.Contains(log.String(), want)
		})
	}
	if strings.Contains(log.String(), "not wanted") {
		t.Error("a line below the level is in the log")
	}
	if l.Err() != nil {
		t.Errorf("the noise ended the plugin: %v", l.Err())
	}
}

func TestCrashLoop(t *testing.T) {
	h, log := newTestHost(t, testTiming())
	steady := lease(t, h, "steady")
	if _, err := h.Plugin(Program{Name: "dying"}); err != nil {
		t.Fatal(err)
	}
	// 400 ms is the longest wait, give or take a fifth.
	eventually(t, "the waits grow to the longest", 30*time.Second, func() bool {
		for line := range strings.Lines(log.String()) {
			_, in, _ := strings.Cut(strings.TrimSpace(line), `err="exit status 2: panic: boom" in=`)
			if wait, err := time.ParseDuration(in); err == nil && wait >= 320*time.Millisecond {
				return true
			}
		}
		return false
	})
	if _, err := ask(t.Context(), steady, "pid", nil); err != nil {
		t.Errorf("another plugin suffers: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET_TOKEN", "hunter2")
	t.Setenv("LC_TIME", "C")
	t.Setenv("SSH_AUTH_SOCK", "/agent")
	t.Setenv("FILEWATCH_VAR_x", "1")
	h, _ := newTestHost(t, testTiming())
	result, err := ask(t.Context(), lease(t, h, "steady"), "environ", nil)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, e := range result.Failed {
		name, value, _ := strings.Cut(e.Path, "=")
		env[name] = value
	}
	for _, name := range []string{"SECRET_TOKEN", "FILEWATCH_VAR_x", "PWD"} {
		if v, ok := env[name]; ok {
			t.Errorf("the plugin sees %s=%s", name, v)
		}
	}
	want := map[string]string{
		"PATH": os.Getenv("PATH"), "LC_TIME": "C", "SSH_AUTH_SOCK": "/agent",
		"FILEWATCH_LIFELINE": "stdin", "FILEWATCH_LOG_LEVEL": "info",
	}
	for name, value := range want {
		if env[name] != value {
			t.Errorf("the plugin sees %s=%q, want %q", name, env[name], value)
		}
	}
	dir := env["FILEWATCH_RUN_DIR"]
	info, err := os.Stat(dir)
	if err != nil || info.Mode() != os.ModeDir|0o700 {
		t.Errorf("run directory %q: %v, %v", dir, info, err)
	}
	if len(dir) > maxProcessDir {
		t.Errorf("run directory %q has %d bytes, want at most %d", dir, len(dir), maxProcessDir)
	}
	sockets, err := filepath.Glob(filepath.Join(dir, "plugin-dir*", "plugin*"))
	if err != nil || len(sockets) != 1 || len(sockets[0]) > 103 {
		t.Errorf("sockets %q, %v, want a short one", sockets, err)
	}
}

func TestCloseLetsCallsFinish(t *testing.T) {
	h, _ := newTestHost(t, testTiming())
	l := lease(t, h, "steady")
	type outcome struct {
		result sdk.Result
		err    error
	}
	begun, ended := make(chan struct{}), make(chan outcome, 1)
	go func() {
		result, err := ask(context.Background(), l, "slow", func(sdk.Progress) { close(begun) })
		ended <- outcome{result, err}
	}()
	soon(t, "the call", begun, 10*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got.err != nil || got.result.Files != 7 {
		t.Errorf("call under way: %+v, %v, want its result", got.result, got.err)
	}
	soon(t, "Done", l.Done(), time.Second)
	if !errors.Is(l.Err(), ErrClosed) {
		t.Errorf("Err = %v, want %v", l.Err(), ErrClosed)
	}
	if _, err := h.Plugin(Program{Name: "steady"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Plugin after Close: %v", err)
	}
	if err := h.Close(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}

func TestCloseGivesUpOnLongCalls(t *testing.T) {
	h, _ := newTestHost(t, testTiming())
	p, err := h.Plugin(Program{Name: "steady"})
	if err != nil {
		t.Fatal(err)
	}
	l := lease(t, h, "steady")
	call := hang(t, l)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-call; err == nil {
		t.Error("the call was confirmed")
	}
	if _, err := p.Client(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Client after Close: %v", err)
	}
}

// Nothing in Close waits for a process that does nothing any more.
func TestCloseOfStoppedPlugin(t *testing.T) {
	h, _ := newTestHost(t, testTiming())
	l := lease(t, h, "steady")
	if err := syscall.Kill(l.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- h.Close(ctx) }()
	if err := soon(t, "the end of Close", closed, 15*time.Second); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// A start under way, or a wait for one, does not hold Close up.
func TestCloseWhileStarting(t *testing.T) {
	timing := testTiming()
	timing.backoffMin = time.Hour
	timing.backoffMax = time.Hour
	h, _ := newTestHost(t, timing)
	for _, name := range []string{"silent", "broken", "steady"} {
		if _, err := h.Plugin(Program{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- h.Close(context.Background()) }()
	if err := soon(t, "the end of Close", closed, 10*time.Second); err != nil {
		t.Errorf("Close: %v", err)
	}
}
