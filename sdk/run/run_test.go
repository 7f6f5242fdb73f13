package run_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/run"
)

const helperEnv = "RUN_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) == "parent" {
		parent()
	}
	os.Exit(m.Run())
}

// parent starts a child from many goroutines, so that a start from a short-lived thread would show,
// prints the pids, and lives until it is killed.
func parent() {
	var wg sync.WaitGroup
	pids := make([]int, 8)
	for i := range pids {
		wg.Go(func() {
			runtime.LockOSThread() // the thread ends with the goroutine
			p, err := run.Start(context.Background(), run.Command{Path: "sleep", Args: []string{"600"}})
			if err != nil {
				panic(err)
			}
			pids[i] = p.PID()
		})
	}
	wg.Wait()
	// Threads of ended goroutines are gone by now or soon: the children must not go with them.
	time.Sleep(100 * time.Millisecond)
	fmt.Println(strings.Trim(fmt.Sprint(pids), "[]"))
	select {}
}

func sh(script string) run.Command {
	return run.Command{Path: "/bin/sh", Args: []string{"-c", script}}
}

// eventually polls until ok, and fails after ten seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// gone reports whether a process is gone, or dead and only waits for init to reap it.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return rest[0] == 'Z' || rest[0] == 'X'
}

func readPID(t *testing.T, file string) int {
	t.Helper()
	var pid int
	eventually(t, "a pid in "+file, func() bool {
		b, _ := os.ReadFile(file)
		if !bytes.HasSuffix(b, []byte("\n")) {
			return false
		}
		var err error
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	return pid
}

func TestExit(t *testing.T) {
	for _, tt := range []struct {
		script string
		want   run.Exit
		ok     bool
		text   string
	}{
		{"exit 0", run.Exit{}, true, "exit status 0"},
		{"echo oops >&2; exit 23", run.Exit{Code: 23, Stderr: "oops\n"}, false, "exit status 23"},
		{"kill -9 $$", run.Exit{Code: -1, Signal: syscall.SIGKILL}, false, "ended by signal: killed"},
	} {
		got, err := run.Run(t.Context(), sh(tt.script))
		if err != nil || got != tt.want || got.OK() != tt.ok || got.String() != tt.text {
			t.Errorf("%s: got %+v (%s), ok=%v, err=%v; want %+v", tt.script, got, got, got.OK(), err, tt.want)
		}
	}
}

func TestOutput(t *testing.T) {
	var stdout, stderr bytes.Buffer
	c := sh("cat; pwd; echo $A$B; echo problem >&2")
	c.Dir = "/"
	c.Env = []string{"A=1", "A=2", "B=3"}
	c.Stdin = strings.NewReader("in\n")
	c.Stdout = &stdout
	c.Stderr = &stderr
	exit, err := run.Run(t.Context(), c)
	if err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	if got, want := stdout.String(), "in\n/\n23\n"; got != want {
		t.Errorf("stdout = %q, want %q", got, want)
	}
	if stderr.String() != "problem\n" || exit.Stderr != "problem\n" {
		t.Errorf("stderr = %q, tail = %q", stderr.String(), exit.Stderr)
	}
}

func TestOutputToFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := sh("[ -f /dev/fd/1 ] && echo file; echo out; echo problem >&2")
	c.Stdout = f
	exit, err := run.Run(t.Context(), c)
	if err != nil || !exit.OK() || exit.Stderr != "problem\n" {
		t.Error(exit, err)
	}
	// The file itself, not a pipe from which it is copied.
	if got, err := os.ReadFile(f.Name()); err != nil || string(got) != "file\nout\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// A reader that never ends keeps nobody waiting.
func TestFiles(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	exit, err := run.Run(t.Context(), run.Command{Path: "sh", Args: []string{"-c", "echo text >&3"}, Files: []*os.File{w}})
	_ = w.Close()
	if err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	if text, err := io.ReadAll(r); string(text) != "text\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

func TestStdinThatHangs(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	c := sh("exit 3")
	c.Stdin = r
	exit, err := run.Run(t.Context(), c)
	if err != nil || exit.Code != 3 {
		t.Error(exit, err)
	}
}

// A process may pass SIGTERM on and wait for its children; they are not signalled twice.
func TestDescendantsMayCleanUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	child := `trap 'echo TERM >>FILE' TERM; trap 'sleep 0.2; echo clean >>FILE; exit' USR1; >FILE.up; while :; do sleep 0.05; done`
	script := `trap 'kill -USR1 $child; exit 20' TERM; sh -c "` + child + `" & child=$!
		while [ ! -e FILE.up ]; do sleep 0.01; done; echo up >FILE; while :; do sleep 0.05; done`
	c := sh(strings.ReplaceAll(script, "FILE", file))
	c.Grace = 10 * time.Second // whatever else the machine does
	p, err := run.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are up", func() bool { b, _ := os.ReadFile(file); return len(b) > 0 })
	p.Stop()
	if exit := p.Wait(); exit.Code != 20 {
		t.Errorf("%+v", exit)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "up\nclean\n" {
		t.Errorf("the child did not clean up in peace: %q, %v", b, err)
	}
}

func TestStandardFilesAreNotInherited(t *testing.T) {
	var out bytes.Buffer
	c := sh("for fd in 0 1 2; do readlink /proc/$$/fd/$fd; done")
	c.Stdout = &out
	if exit, err := run.Run(t.Context(), c); err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	for fd, got := range strings.Fields(out.String()) {
		own, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			t.Fatal(err)
		}
		if fd == 0 && got != "/dev/null" || fd > 0 && (got == own || !strings.HasPrefix(got, "pipe:")) {
			t.Errorf("fd %d of the child is %s, ours is %s", fd, got, own)
		}
	}
}

func TestTailIsBounded(t *testing.T) {
	exit, err := run.Run(t.Context(), sh("seq 1 200000 >&2"))
	if err != nil {
		t.Fatal(err)
	}
	if len(exit.Stderr) != 8<<10 || !strings.HasSuffix(exit.Stderr, "\n199999\n200000\n") {
		t.Errorf("tail has %d bytes and ends with %q", len(exit.Stderr), exit.Stderr[max(0, len(exit.Stderr)-30):])
	}
}

func TestNotFound(t *testing.T) {
	for _, path := range []string{"filewatch-no-such-program", "/no/such/program"} {
		_, err := run.Run(t.Context(), run.Command{Path: path})
		if !run.IsNotFound(err) {
			t.Errorf("%s: %v is not IsNotFound", path, err)
		}
	}
	file := filepath.Join(t.TempDir(), "not-executable")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Run(t.Context(), run.Command{Path: file}); err == nil || run.IsNotFound(err) {
		t.Errorf("a file that is not executable: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := run.Run(ctx, sh("exit 0")); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
}

// A grandchild in a session of its own, as an ssh ControlPersist master is, keeps standard error open.
func TestGrandchildThatHoldsPipes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	var out bytes.Buffer
	c := sh("setsid sh -c 'echo $$ >" + file + "; exec sleep 600' & while [ ! -s " + file + " ]; do :; done; echo done; exit 7")
	c.Stdout = &out
	p, err := run.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(30 * time.Second):
		t.Error("Wait hangs on a grandchild that holds the pipes")
	}
	pid := readPID(t, file)
	defer syscall.Kill(pid, syscall.SIGKILL)
	if gone(pid) {
		t.Error("the grandchild is gone, so that the test shows nothing")
	}
	if exit := p.Wait(); exit.Code != 7 || out.String() != "done\n" {
		t.Errorf("%+v, stdout %q", exit, out.String())
	}
}

// What a process leaves behind in its group ends with it.
func TestGroupEndsWithProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	exit, err := run.Run(t.Context(), sh("sleep 600 & echo $! >"+file))
	if err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	pid := readPID(t, file)
	eventually(t, "the grandchild is gone", func() bool { return gone(pid) })
}

func TestCancelEndsGroup(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		want         syscall.Signal
		stop         bool
	}{
		{"asked by context", "sleep 600 & echo $! >FILE; wait", syscall.SIGTERM, false},
		{"asked by Stop", "sleep 600 & echo $! >FILE; wait", syscall.SIGTERM, true},
		{"made to", "trap '' TERM; sleep 600 & echo $! >FILE; wait; while :; do sleep 1; done", syscall.SIGKILL, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pid")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := sh(strings.ReplaceAll(tt.script, "FILE", file))
			c.Grace = 200 * time.Millisecond
			p, err := run.Start(ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			pid := readPID(t, file)
			if tt.stop {
				p.Stop()
				p.Stop()
			} else {
				cancel()
			}
			if exit := p.Wait(); exit.Signal != tt.want {
				t.Errorf("got %+v, want signal %v", exit, tt.want)
			}
			eventually(t, "the grandchild is gone", func() bool { return gone(pid) })
		})
	}
}

func TestEnvironIsClean(t *testing.T) {
	t.Setenv("PLUGIN_CLIENT_CERT", "secret")
	t.Setenv("FILEWATCH_RUN_DIR", "/run/x")
	t.Setenv("RUN_TEST_KEPT", "yes")
	var out bytes.Buffer
	c := run.Command{Path: "env", Env: []string{"LC_ALL=C"}, Stdout: &out}
	if exit, err := run.Run(t.Context(), c); err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	env := out.String()
	if strings.Contains(env, "PLUGIN_") || strings.Contains(env, "FILEWATCH_") {
		t.Errorf("the child sees filewatch's own variables:\n%s", env)
	}
	for _, want := range []string{"RUN_TEST_KEPT=yes\n", "LC_ALL=C\n", "PATH="} {
		if !strings.Contains(env, want) {
			t.Errorf("the child misses %q", want)
		}
	}
}

func TestChildrenDieWithKilledParent(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), helperEnv+"=parent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 200)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, s := range strings.Fields(string(buf[:n])) {
		pid, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		if gone(pid) {
			t.Errorf("child %d died before its parent", pid)
		}
		pids = append(pids, pid)
	}
	if len(pids) != 8 {
		t.Fatalf("pids %v", pids)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("child %d is gone", pid), func() bool { return gone(pid) })
	}
}

// Many at once: no exit is lost or taken for another's.
func TestConcurrentStarts(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			exit, err := run.Run(t.Context(), sh(fmt.Sprintf("echo %d >&2; exit %d", i, i)))
			if err != nil || exit.Code != i || exit.Stderr != fmt.Sprintf("%d\n", i) {
				t.Errorf("process %d: %+v, %v", i, exit, err)
			}
		})
	}
	wg.Wait()
}

// Kill ends the group at once, whatever it does about SIGTERM; after the end it does nothing.
func TestKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	p, err := run.Start(t.Context(), sh("trap '' TERM; sleep 600 & echo $! >"+file+"; wait; wait"))
	if err != nil {
		t.Fatal(err)
	}
	child := readPID(t, file)
	p.Kill()
	if exit := p.Wait(); exit.Signal != syscall.SIGKILL {
		t.Errorf("%+v", exit)
	}
	eventually(t, "the child is gone", func() bool { return gone(child) })
	p.Kill()
}

// Kill races with the end of the process, and hits nothing that has got the id since.
func TestKillAtTheEnd(t *testing.T) {
	for range 200 {
		p, err := run.Start(t.Context(), sh("exit 3"))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(p.Kill)
		wg.Go(p.Kill)
		exit := p.Wait()
		wg.Wait()
		if exit.Code != 3 && exit.Signal != syscall.SIGKILL {
			t.Fatalf("%+v", exit)
		}
	}
}
