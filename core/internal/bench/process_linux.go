package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/run"
)

// start starts a process that ends, with all that it started, at the end of the scope.
func (s *scope) start(c run.Command) *run.Process {
	c.Grace = 10 * time.Second
	p, err := run.Start(s.ctx, c)
	s.check(err)
	s.Cleanup(func() {
		descendants := proc.Children(p.PID())
		p.Stop()
		p.Wait()
		for _, pid := range descendants {
			_ = proc.Kill(pid, syscall.SIGTERM)
		}
		proc.WaitGone(s, descendants, 10*time.Second)
	})
	return p
}

// command runs a command to its end and returns what it printed.
func (s *scope) command(c run.Command) string {
	var out strings.Builder
	c.Stdout = &out
	exit, err := run.Run(s.ctx, c)
	s.check(err)
	if !exit.OK() {
		s.Fatalf("%s %s: %v: %s", c.Path, strings.Join(c.Args, " "), exit, exit.Stderr)
	}
	return out.String()
}

// family returns the processes and their descendants.
func family(roots ...int) []int {
	pids := slices.Clone(roots)
	for _, pid := range roots {
		pids = append(pids, proc.Children(pid)...)
	}
	return pids
}

// spent returns the processor time of the processes and their descendants, those included that have ended and
// been waited for.
func spent(roots ...int) (total time.Duration) {
	for _, pid := range family(roots...) {
		var ts unix.Timespec
		// How the id of a process makes that of its clock: clock_getcpuclockid(3).
		if unix.ClockGettime(int32(^pid<<3|2), &ts) == nil {
			total += time.Duration(ts.Nano())
		}
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
			total += reaped(string(text))
		}
	}
	return total
}

// reaped returns the processor time of the children that a process has waited for: cutime and cstime in
// proc_pid_stat(5), in ticks, of which Linux tells user space 100 a second.
func reaped(stat string) time.Duration {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15 {
		return 0
	}
	user, _ := strconv.Atoi(fields[13])
	system, _ := strconv.Atoi(fields[14])
	return time.Duration(user+system) * (time.Second / 100)
}

// memory returns the proportional set size (PSS) of the processes and their descendants in bytes: that of
// filewatch's own and that of all others.
func memory(program string, roots ...int) (own, others float64) {
	for _, pid := range family(roots...) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)) // "" when it has just ended
		bytes := pss(string(text))
		if file, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); file == program {
			own += bytes
		} else {
			others += bytes
		}
	}
	return own, others
}

// pss returns the line "Pss: N kB" in bytes.
func pss(smaps string) float64 {
	for line := range strings.Lines(smaps) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Pss:" {
			kB, _ := strconv.ParseFloat(fields[1], 64)
			return kB * 1024
		}
	}
	return 0
}
