package proc_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
)

// sh starts a shell that prints one word a line, and returns it with the words once it has closed its
// standard output or printed "end".
func sh(t *testing.T, env, script string) (cmd *exec.Cmd, words []string) {
	t.Helper()
	cmd = exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), env)
	if _, err := cmd.StdinPipe(); err != nil { // open until the end, for those who read it
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewScanner(out); in.Scan() && in.Text() != "end"; {
		words = append(words, in.Text())
	}
	return cmd, words
}

func pids(t *testing.T, words []string) []int {
	t.Helper()
	var pids []int
	for _, w := range words {
		var pid int
		if _, err := fmt.Sscan(w, &pid); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

func TestChildren(t *testing.T) {
	cmd, words := sh(t, "X=1", `sleep 1000 & echo $!; sh -c 'sleep 1000 & echo $!; echo $$; echo end; wait' & wait`)
	want := append(pids(t, words), 0)[:3]
	got := proc.Children(cmd.Process.Pid)
	sorted := slices.Sorted(slices.Values(got))
	if !slices.Equal(sorted, want) {
		t.Errorf("children %v, want %v", sorted, want)
	}
	if slices.Contains(got, cmd.Process.Pid) || !slices.Contains(proc.Children(os.Getpid()), got[2]) {
		t.Error("the process is its own child, or its grandchildren are not ours")
	}
	for _, pid := range append(got, cmd.Process.Pid) {
		if !proc.Alive(pid) {
			t.Errorf("%d is not alive", pid)
		}
	}
	for _, pid := range append(got, cmd.Process.Pid) { // a shell ends with what it waits for
		if err := proc.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	// Our own child is a zombie until we wait for it, and counts as gone.
	proc.WaitGone(t, append(got, cmd.Process.Pid), 10*time.Second)
	if got := proc.Children(cmd.Process.Pid); len(got) != 0 {
		t.Errorf("children of a zombie: %v", got)
	}
	if slices.Contains(proc.Children(os.Getpid()), cmd.Process.Pid) {
		t.Error("a zombie is among our children")
	}
	_ = cmd.Wait()
	if err := proc.Kill(cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Errorf("kill what is gone: %v", err)
	}
	if proc.Alive(cmd.Process.Pid) || proc.Cmdline(cmd.Process.Pid) != "" {
		t.Error("alive after its end")
	}
}

// TestWithEnv has an orphan in a session of its own.
func TestWithEnv(t *testing.T) {
	marker := fmt.Sprintf("FILEWATCH_TEST_PROC=%d/%s", os.Getpid(), t.TempDir())
	t.Setenv("FILEWATCH_TEST_PROC", strings.TrimPrefix(marker, "FILEWATCH_TEST_PROC="))
	cmd, words := sh(t, marker, `setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' &`)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	want := pids(t, words)
	if got := proc.WithEnv(marker); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := proc.WithEnv(marker[:len(marker)-1]); len(got) != 0 {
		t.Errorf("a part of an entry: %v", got)
	}
	if got := proc.Cmdline(want[0]); got != "sleep 1000" {
		t.Errorf("command line %q", got)
	}
	for _, pid := range want {
		if err := proc.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	proc.WaitGone(t, want, 10*time.Second)
	if got := proc.WithEnv(marker); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestWithArg(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := sh(t, "X=1", `echo end; read x; : `+dir)
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if got := proc.WithArg(dir); !slices.Equal(got, []int{cmd.Process.Pid}) {
		t.Errorf("got %v, want %d", got, cmd.Process.Pid)
	}
}

// TestHalt halts one that starts others all the time: there must be no new one afterwards.
func TestHalt(t *testing.T) {
	cmd, _ := sh(t, "X=1", `echo end; while :; do (exec sleep 0.01) & done`)
	time.Sleep(20 * time.Millisecond)
	proc.Halt(t, cmd.Process.Pid)
	before := proc.Children(cmd.Process.Pid)
	time.Sleep(20 * time.Millisecond)
	for _, pid := range proc.Children(cmd.Process.Pid) {
		if !slices.Contains(before, pid) {
			t.Errorf("%d is new", pid)
		}
	}
	if !proc.Alive(cmd.Process.Pid) {
		t.Error("halted means not alive")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	proc.Halt(t, cmd.Process.Pid) // gone, and no harm
}

func TestKillRefusesGroups(t *testing.T) {
	for _, pid := range []int{0, -1} {
		if err := proc.Kill(pid, 0); err == nil {
			t.Errorf("no error for %d", pid)
		}
	}
}

// fatal is a testing.TB that keeps what ends the test.
type fatal struct {
	testing.TB
	text string
}

func (f *fatal) Helper() {}

func (f *fatal) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestWaitGoneFails(t *testing.T) {
	var f fatal
	var wg sync.WaitGroup
	wg.Go(func() { proc.WaitGone(&f, []int{os.Getpid()}, 20*time.Millisecond) })
	wg.Wait()
	if want := fmt.Sprintf("%d (parent %d) %q", os.Getpid(), os.Getppid(), proc.Cmdline(os.Getpid())); !strings.Contains(f.text, want) {
		t.Errorf("got %q, want %q in it", f.text, want)
	}
}
