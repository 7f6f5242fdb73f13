// Package proc looks at processes through /proc, for tests that must prove that nothing is left
// running. Its functions panic on a system without /proc. Zombies count as gone.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// T is what is needed of a testing.TB. A program that is not a test brings its own.
type T interface {
	Helper()
	Fatalf(format string, args ...any) // does not return
}

// Children returns the live descendants of pid at any depth, parents before their children. A
// process whose parent died is no longer a descendant: see WithEnv and WithArg.
func Children(pid int) []int {
	below := map[int][]int{}
	for _, p := range all() {
		if st := stat(p); st.live() {
			below[st.ppid] = append(below[st.ppid], p)
		}
	}
	found := slices.Clone(below[pid])
	for i := 0; i < len(found); i++ {
		found = append(found, below[found[i]]...)
	}
	return found
}

// WithEnv returns the processes, other than the caller, that were started with the entry
// "NAME=value" in their environment, whoever their parent is now. A process that rewrites its title
// over its environment hides from it, as sshd and a multiplexing ssh do: see WithArg.
func WithEnv(entry string) []int {
	want := "\x00" + entry + "\x00"
	return matching("environ", func(environ string) bool {
		return strings.Contains("\x00"+environ, want)
	})
}

// WithArg returns the processes, other than the caller, whose command line or title contains part,
// whoever their parent is now. A path in a test's own temporary directory makes a good part.
func WithArg(part string) []int {
	return matching("cmdline", func(cmdline string) bool {
		return strings.Contains(cmdline, part)
	})
}

// Cmdline returns the arguments of pid, or the title it gave itself, joined by spaces; "" when it is
// gone.
func Cmdline(pid int) string {
	data, err := os.ReadFile(file(pid, "cmdline"))
	if err != nil {
		return ""
	}
	return string(bytes.ReplaceAll(bytes.TrimRight(data, "\x00"), []byte{0}, []byte{' '}))
}

// Alive reports whether pid exists and is no zombie.
func Alive(pid int) bool {
	return stat(pid).live()
}

// Kill sends sig to pid. A process that is already gone is no error.
func Kill(pid int, sig syscall.Signal) error {
	if pid <= 0 {
		return fmt.Errorf("kill %d: not a single process", pid)
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %d: %w", pid, err)
	}
	return nil
}

// Halt sends SIGSTOP to pid and waits until all its threads are halted, or it is gone: from then on it does nothing,
// and what it started before can be seen. It ends the test if that takes longer than ten seconds.
func Halt(t T, pid int) {
	t.Helper()
	if err := Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("%v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		if halted(pid) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("cannot be halted:\n%s", describe([]int{pid}))
		}
	}
}

// halted reports whether no thread of pid can do anything.
func halted(pid int) bool {
	threads, _ := filepath.Glob(file(pid, "task/[0-9]*/stat"))
	for _, thread := range threads {
		data, _ := os.ReadFile(thread)
		if st := parseStat(string(data)); st.live() && st.state != 'T' && st.state != 't' {
			return false
		}
	}
	return true
}

// WaitGone waits until none of pids is alive. When timeout is over it ends the test with the command
// lines of those that remain.
func WaitGone(t T, pids []int, timeout time.Duration) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		rest := slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return !Alive(pid) })
		if len(rest) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still alive after %v:\n%s", timeout, describe(rest))
			return
		}
		time.Sleep(pause)
	}
}

func describe(pids []int) string {
	var b strings.Builder
	for _, pid := range pids {
		fmt.Fprintf(&b, "\t%d (parent %d) %q\n", pid, stat(pid).ppid, Cmdline(pid))
	}
	return b.String()
}

// matching returns the live processes but the caller for which match holds of the named file.
func matching(name string, match func(string) bool) []int {
	var found []int
	for _, pid := range all() {
		if pid == os.Getpid() {
			continue
		}
		// Unreadable means gone, or of another user, whom a test does not start.
		if data, err := os.ReadFile(file(pid, name)); err == nil && match(string(data)) && Alive(pid) {
			found = append(found, pid)
		}
	}
	return found
}

// all returns every process id.
func all() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		panic(fmt.Sprintf("proc: %v", err))
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		panic(fmt.Sprintf("proc: %v", err))
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// status is what is of interest in /proc/PID/stat. The zero value is of no process.
type status struct {
	state byte // as in proc_pid_stat(5)
	ppid  int
}

func (s status) live() bool { return s.state != 0 && s.state != 'Z' && s.state != 'X' }

func stat(pid int) status {
	data, err := os.ReadFile(file(pid, "stat"))
	if err != nil {
		return status{}
	}
	return parseStat(string(data))
}

// parseStat reads "pid (name) state ppid …". The name may hold spaces and parentheses.
func parseStat(line string) status {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return status{}
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 2 {
		return status{}
	}
	ppid, err := strconv.Atoi(fields[1])
	if err != nil {
		return status{}
	}
	return status{state: fields[0][0], ppid: ppid}
}

func file(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}
