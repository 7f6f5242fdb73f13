package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// command runs a command of operators that asks the daemon.
func (d *daemon) command(args ...string) (exit int, stdout, stderr string) {
	d.t.Helper()
	select {
	case <-d.done:
		d.t.Fatal("filewatch has ended")
	default:
	}
	at := slices.Index(d.cmd.Args, "-config")
	cmd := exec.Command("filewatch", append(args, d.cmd.Args[at:at+2]...)...)
	cmd.Env = d.cmd.Env
	if attr := d.cmd.SysProcAttr; attr != nil { // as the daemon's user
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: attr.Credential}
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		d.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// do runs a command that must succeed, and returns what it prints.
func (d *daemon) do(args ...string) string {
	d.t.Helper()
	exit, stdout, stderr := d.command(args...)
	if exit != 0 {
		d.t.Fatalf("filewatch %s: exit status %d: %s", strings.Join(args, " "), exit, stderr)
	}
	return stdout
}

// report returns what filewatch status tells, of one sync or, for "", of all, as soon as it tells anything.
func (d *daemon) report(sync string) []status.Sync {
	d.t.Helper()
	args := []string{"status", "-json"}
	if sync != "" {
		args = append(args, sync)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		exit, stdout, stderr := d.command(args...)
		var report status.Report
		if exit == 0 && json.Unmarshal([]byte(stdout), &report) == nil {
			return report.Syncs
		}
		// It may just be starting.
		if time.Now().After(deadline) {
			d.t.Fatalf("status: exit status %d: %s%s", exit, stdout, stderr)
		}
	}
}

// status returns the status of the only destination of a sync.
func (d *daemon) status(sync string) status.Destination {
	d.t.Helper()
	return d.report(sync)[0].Destinations[0]
}

// waitStatus polls the status until it is in a state.
func (d *daemon) waitStatus(t *testing.T, sync string, state status.State) (s status.Destination) {
	t.Helper()
	eventually(t, "the status is "+string(state), func() bool {
		s = d.status(sync)
		return s.State == state
	})
	return s
}

// held waits until the status of a sync, of each one for "", tells a hold of a kind whose text has all the
// parts, and checks that flush fails at once. It returns the last hold.
func (d *daemon) held(t *testing.T, sync string, kind guard.Kind, parts ...string) (hold *status.Hold) {
	t.Helper()
	eventually(t, "the status tells of a hold: "+string(kind)+" "+strings.Join(parts, ", "), func() bool {
		for _, s := range d.report(sync) {
			to := s.Destinations[0]
			if to.State != status.Held || to.Hold == nil || to.Hold.Kind != string(kind) {
				return false
			}
			hold = to.Hold
			if slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(hold.Text, part) }) {
				return false
			}
		}
		return true
	})
	if why := d.cannotFlush(t); !strings.Contains(why, "filewatch flush: ") {
		t.Errorf("flush says %q", why)
	}
	return hold
}

// cannotFlush checks that flush fails long before its timeout, and returns why.
func (d *daemon) cannotFlush(t *testing.T) (why string) {
	t.Helper()
	exit, _, stderr := d.command("flush", "-timeout", "10m")
	if exit != 1 {
		t.Fatalf("flush: exit status %d: %s", exit, stderr)
	}
	return stderr
}

// flushed runs flush until it succeeds.
func (d *daemon) flushed(t *testing.T) {
	t.Helper()
	eventually(t, "flush succeeds", func() bool {
		exit, _, _ := d.command("flush")
		return exit == 0
	})
}

// saidInSync waits for the first "in sync" of sync s, which the log may have after flush has returned, and returns
// the number of lines up to it.
func (d *daemon) saidInSync(t *testing.T) int {
	t.Helper()
	d.flushed(t)
	return d.waitMessage(0, "s", "in sync")
}

// stop ends the daemon with a signal, and waits until it and all that it has started are gone.
func (d *daemon) stop(t *testing.T, signal syscall.Signal) {
	t.Helper()
	children := proc.Children(d.pid())
	d.signal(signal)
	select {
	case <-d.done:
	case <-time.After(patience):
		t.Fatalf("filewatch did not end within %v of signal %v", patience, signal)
	}
	proc.WaitGone(t, children, 2*time.Second)
}

// tells waits until the log has a message, and an error with a text, from a line on.
func (d *daemon) tells(from int, message, text string) int {
	d.t.Helper()
	return d.wait(from, message+": "+text, func(l line) bool {
		return strings.HasPrefix(l.Message, message) && strings.Contains(l.Err, text)
	})
}

// notInSync checks that the log has not said so from a line on.
func (d *daemon) notInSync(t *testing.T, from int) {
	t.Helper()
	for _, l := range d.log()[from:] {
		if l.Message == "in sync" {
			t.Errorf("it said: %s", l.Text)
		}
	}
}

// same fails unless two trees are equal now.
func same(t *testing.T, a, b string) {
	t.Helper()
	if diff, err := tree.Diff(a, b, tree.Options{}); err != nil || diff != "" {
		t.Fatalf("%v\n%s", err, diff)
	}
}

// snapshot copies a directory, to be compared with later.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "snapshot")
	shell(t, "/", "cp -a '"+dir+"' '"+to+"'")
	return to
}

// files makes n files in each of the directories of dir.
func files(t *testing.T, dir string, n int, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			writeFile(t, filepath.Join(dir, name, fmt.Sprint("file-", i)), fmt.Sprint(name, i))
		}
	}
}

// matching lists what a pattern matches.
func matching(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}
