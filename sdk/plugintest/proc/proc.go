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
	"testing"
	"time"
)

// Children returns the live descendants of pid at any depth, parents before their children. A
// process whose parent died is no longer a descendant: see WithEnv and WithArg.
func Children(pid int) []int {
	below := map[int][]int{}
	for _, p := range all() {
		if ppid, live := stat(p); live {
			below[ppid] = append(below[ppid], p)
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
	_, live := stat(pid)
	return live
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

// WaitGone waits until none of pids is alive. When timeout is over it ends the test with the command
// lines of those that remain.
func WaitGone(t testing.TB, pids []int, timeout time.Duration) {
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
		ppid, _ := stat(pid)
		fmt.Fprintf(&b, "\t%d (parent %d) %q\n", pid, ppid, Cmdline(pid))
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

// stat returns the parent of pid, and whether pid is alive.
func stat(pid int) (ppid int, live bool) {
	data, err := os.ReadFile(file(pid, "stat"))
	if err != nil {
		return 0, false
	}
	return parseStat(string(data))
}

// parseStat reads "pid (name) state ppid …". The name may hold spaces and parentheses.
func parseStat(line string) (ppid int, live bool) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return 0, false
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 2 {
		return 0, false
	}
	ppid, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0, false
	}
	return ppid, fields[0] != "Z" && fields[0] != "X"
}

func file(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}
