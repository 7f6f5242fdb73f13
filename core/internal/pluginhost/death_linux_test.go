package pluginhost

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
)

// However the daemon ends, its plugins and their children end with it.
func TestDaemonIsKilled(t *testing.T) {
	base := shortTempDir(t)
	cmd := exec.Command(self(t), "daemon", base)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
	}
	pids := proc.Children(cmd.Process.Pid)
	if len(pids) != 3 { // two plugins and a child of one of them
		t.Errorf("%d processes below the daemon, want 3", len(pids))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	proc.WaitGone(t, pids, 2*time.Second)

	stale, err := filepath.Glob(filepath.Join(base, "*"))
	if err != nil || len(stale) != 1 || !strings.Contains(stale[0], "/filewatch-") {
		t.Fatalf("the daemon left %q, %v, want its run directory", stale, err)
	}
	next := makeRunDir(t, base)
	defer next.remove()
	if exists(stale[0]) {
		t.Error("the next daemon did not sweep it")
	}
}

// A plugin that stands still when the daemon dies ends too: the kernel wakes process groups that lose
// their last tie to their session (setpgid(2)).
func TestDaemonIsKilledWithStoppedPlugins(t *testing.T) {
	cmd := exec.Command(self(t), "daemon", shortTempDir(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
	}
	pids := proc.Children(cmd.Process.Pid)
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Error(err)
		}
		eventually(t, "the process has stopped", 5*time.Second, func() bool {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return strings.Contains(string(stat), ") T ")
		})
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	proc.WaitGone(t, pids, 2*time.Second)
}

func TestCloseLeavesNoProcess(t *testing.T) {
	h, _ := newTestHost(t, testTiming())
	for _, name := range []string{"steady", "other", "parent"} {
		lease(t, h, name)
	}
	pids := proc.Children(os.Getpid())
	if len(pids) < 4 {
		t.Errorf("%d processes below this one, want 4", len(pids))
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	proc.WaitGone(t, pids, time.Second)
}

// The process group of a plugin that dies dies with it.
func TestGroupEndsWithPlugin(t *testing.T) {
	endWithTest := strays(t)
	h, _ := newTestHost(t, testTiming())
	l := lease(t, h, "clinging")
	endWithTest(l)
	var inGroup []int
	for _, pid := range proc.Children(l.PID()) {
		if pgid, err := syscall.Getpgid(pid); err == nil && pgid == l.PID() {
			inGroup = append(inGroup, pid)
		}
	}
	if len(inGroup) != 1 {
		t.Fatalf("%d processes in the plugin's group, want 1", len(inGroup))
	}
	if err := syscall.Kill(l.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	soon(t, "Done", l.Done(), time.Second)
	proc.WaitGone(t, inGroup, time.Second)
}

// strays returns a function that makes the present children of a plugin, those outside its group too,
// end with the test.
func strays(t *testing.T) func(*Lease) {
	var pids []int
	t.Cleanup(func() {
		for _, pid := range pids {
			_ = proc.Kill(pid, syscall.SIGKILL)
		}
	})
	return func(l *Lease) { pids = append(pids, proc.Children(l.PID())...) }
}

// Output that outlives the plugin in the hands of a descendant delays nothing (golang.org/issue/13155
// and many others).
func TestDescendantsHoldPipes(t *testing.T) {
	endWithTest := strays(t)
	h, _ := newTestHost(t, testTiming())
	l := lease(t, h, "clinging")
	endWithTest(l)
	if err := syscall.Kill(l.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	soon(t, "Done", l.Done(), time.Second)
	next := lease(t, h, "clinging")
	if next.PID() == l.PID() {
		t.Fatal("the dead process was lent out again")
	}
	endWithTest(next)
	closed := make(chan error, 1)
	go func() { closed <- h.Close(context.Background()) }()
	if err := soon(t, "the end of Close", closed, 10*time.Second); err != nil {
		t.Errorf("Close: %v", err)
	}
}
