package sshd_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// ssh runs ssh with the given configuration and returns its exit status and output.
func ssh(t *testing.T, config string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ssh", append([]string{"-F", config}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestLogin(t *testing.T) {
	s := sshd.Start(t, sshd.Config{})
	if s.Host != "127.0.0.1" || !proc.Alive(s.PID()) {
		t.Errorf("host %q, process %d", s.Host, s.PID())
	}
	// Any host name leads to the server, and a session sees neither the start files nor our environment.
	t.Setenv("FILEWATCH_TEST_OURS", "1")
	status, out, stderr := ssh(t, s.ConfigFile, "any.example", `ls -A ~; echo "$USER:$FILEWATCH_TEST_OURS"; exit 3`)
	if want := s.User + ":\n"; status != 3 || out != want || stderr != "" {
		t.Errorf("got status %d, output %q, errors %q; want 3, %q, none", status, out, stderr, want)
	}
	// The parts work without the file, too.
	status, out, stderr = ssh(t, "/dev/null", "-p", strconv.Itoa(s.Port), "-i", s.IdentityFile, "-o", "UserKnownHostsFile="+s.KnownHosts,
		"-o", "BatchMode=yes", s.User+"@"+s.Host, "echo here")
	if status != 0 || out != "here\n" {
		t.Errorf("without the file: status %d, output %q, errors %q", status, out, stderr)
	}
}

func TestListensOnOneAddress(t *testing.T) {
	s := sshd.Start(t, sshd.Config{})
	// A server on all addresses would be found at these, too.
	for _, host := range []string{"127.0.0.2", "::1"} {
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(s.Port)), time.Second); err == nil {
			c.Close()
			t.Errorf("listens on %s", host)
		}
	}
}

func TestTwoAtOnce(t *testing.T) {
	a, b := sshd.Start(t, sshd.Config{}), sshd.Start(t, sshd.Config{})
	_, pids := session(t, b, 2, "sleep 1000")
	if rest := a.Sessions(); len(rest) != 0 {
		t.Errorf("sessions of the other one: %v", rest)
	}
	a.Stop()
	for _, pid := range pids {
		if !proc.Alive(pid) {
			t.Errorf("%d went with the other server", pid)
		}
	}
	a.Restart()
	for _, s := range []*sshd.Server{a, b} {
		if status, out, stderr := ssh(t, s.ConfigFile, "h", "echo here"); status != 0 || out != "here\n" {
			t.Errorf("status %d, output %q, errors %q", status, out, stderr)
		}
	}
}

// TestHiddenMaster shows why proc has WithArg: a connection that stays covers its environment with
// its title.
func TestHiddenMaster(t *testing.T) {
	s := sshd.Start(t, sshd.Config{})
	socket := filepath.Join(t.TempDir(), "s")
	if status, _, stderr := ssh(t, s.ConfigFile, "-S", socket, "-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-E", "/dev/null", "h", "true"); status != 0 {
		t.Fatalf("status %d, errors %q", status, stderr)
	}
	pids := proc.WithArg(socket)
	if len(pids) != 1 {
		t.Fatalf("processes of the shared connection: %v", pids)
	}
	s.KillSessions()
	proc.WaitGone(t, pids, 30*time.Second)
}

func TestRefusals(t *testing.T) {
	s := sshd.Start(t, sshd.Config{})
	tests := []struct {
		name, config, want string
	}{
		{"refused key", s.ClientConfig(s.RefusedIdentity(), s.KnownHosts), "Permission denied (publickey)"},
		{"unknown host", s.ClientConfig(s.IdentityFile, s.EmptyKnownHosts()), "Host key verification failed"},
		{"changed host", s.ClientConfig(s.IdentityFile, s.ChangedKnownHosts()), "REMOTE HOST IDENTIFICATION HAS CHANGED"},
	}
	for range 5 { // a server that shuts out addresses after failures would do so now
		for _, tt := range tests {
			status, out, stderr := ssh(t, tt.config, "h", "echo in")
			if status != 255 || out != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("%s: status %d, output %q, errors %q", tt.name, status, out, stderr)
			}
		}
	}
	if status, _, stderr := ssh(t, s.ConfigFile, "h", "true"); status != 0 {
		t.Errorf("after the refusals: status %d, errors %q", status, stderr)
	}
}

func TestEnv(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "rsync"), []byte("#!/bin/sh\necho \"fake $A\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		env     map[string]string
		command string
		status  int
		out     string
	}{
		{"no rsync", map[string]string{"PATH": "/nonexistent"}, "rsync", 127, ""},
		{"another rsync", map[string]string{"PATH": bin + ":/usr/bin:/bin", "A": "b c=d'e"}, "rsync", 0, "fake b c=d'e\n"},
		{"home", map[string]string{"HOME": bin}, "echo ~", 0, bin + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := sshd.Start(t, sshd.Config{Env: tt.env})
			if status, out, stderr := ssh(t, s.ConfigFile, "h", tt.command); status != tt.status || out != tt.out {
				t.Errorf("status %d, output %q, errors %q", status, out, stderr)
			}
		})
	}
}

func TestLines(t *testing.T) {
	s := sshd.Start(t, sshd.Config{Lines: []string{`ForceCommand echo "forced: $SSH_ORIGINAL_COMMAND"`}})
	if status, out, stderr := ssh(t, s.ConfigFile, "h", "rm -rf x"); status != 0 || out != "forced: rm -rf x\n" {
		t.Errorf("status %d, output %q, errors %q", status, out, stderr)
	}
}

// session starts a command that stays, and returns it with its processes at the far end when there
// are at least so many.
func session(t *testing.T, s *sshd.Server, atLeast int, command string) (cmd *exec.Cmd, pids []int) {
	t.Helper()
	cmd = exec.Command("ssh", "-F", s.ConfigFile, "h", command)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if pids = s.Sessions(); len(pids) >= atLeast {
			return cmd, pids
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %d processes in the session: %v", len(pids), pids)
		}
	}
}

func TestStopAndRestart(t *testing.T) {
	s := sshd.Start(t, sshd.Config{})
	// Two processes are orphaned, in a session of their own; one ignores what can be ignored.
	cmd, pids := session(t, s, 7, `setsid sh -c 'sleep 1000 & sleep 1000; :' >/dev/null 2>&1 </dev/null & (trap "" HUP TERM; sleep 1000; :) & sleep 1000`)
	s.Stop()
	proc.WaitGone(t, pids, 0)
	if rest := s.Sessions(); len(rest) != 0 {
		t.Errorf("left: %v", rest)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the client did not notice")
	}
	if status, _, stderr := ssh(t, s.ConfigFile, "h", "true"); status != 255 || !strings.Contains(stderr, "Connection refused") {
		t.Errorf("while stopped: status %d, errors %q", status, stderr)
	}
	s.Stop() // again is no harm
	s.KillSessions()
	for range 2 { // the second time it runs
		port := s.Port
		s.Restart()
		if s.Port != port {
			t.Errorf("port %d became %d", port, s.Port)
		}
		if status, out, stderr := ssh(t, s.ConfigFile, "h", "echo back"); status != 0 || out != "back\n" {
			t.Errorf("after the restart: status %d, output %q, errors %q", status, out, stderr)
		}
	}
}

func TestKillSessions(t *testing.T) {
	s := sshd.Start(t, sshd.Config{})
	cmd, pids := session(t, s, 2, "sleep 1000")
	s.KillSessions()
	proc.WaitGone(t, pids, 0)
	if err := cmd.Wait(); err == nil {
		t.Error("the client did not notice")
	}
	if status, out, stderr := ssh(t, s.ConfigFile, "h", "echo back"); status != 0 || out != "back\n" {
		t.Errorf("after: status %d, output %q, errors %q", status, out, stderr)
	}
}

// TestKillSessionsAtAnyTime cuts while clients come and go: nothing may survive, or hang.
func TestKillSessionsAtAnyTime(t *testing.T) {
	s := sshd.Start(t, sshd.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = exec.CommandContext(ctx, "ssh", "-F", s.ConfigFile, "h", "sleep 0.1 & sleep 0.1").Run()
		}
	}()
	for range 10 {
		time.Sleep(50 * time.Millisecond)
		s.KillSessions()
	}
	s.Stop()
	if rest := s.Sessions(); len(rest) != 0 {
		t.Errorf("left: %v", rest)
	}
	cancel()
	<-done
}

func TestNothingIsLeft(t *testing.T) {
	var pids []int
	t.Run("a test", func(t *testing.T) {
		s := sshd.Start(t, sshd.Config{})
		_, pids = session(t, s, 2, "sleep 1000")
		pids = append(pids, proc.WithArg(filepath.Dir(s.ConfigFile)+"/sshd_config")...)
	})
	if len(pids) < 3 {
		t.Errorf("listener and session have only %d processes", len(pids))
	}
	proc.WaitGone(t, pids, 0)
}

// TestRsync sends what a churn makes, round after round.
func TestRsync(t *testing.T) {
	s := sshd.Start(t, sshd.Config{})
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	if err := os.Mkdir(src, 0o755); err != nil {
		t.Fatal(err)
	}
	c := tree.NewChurn(1, src, tree.ChurnOptions{})
	c.LogOnFailure(t)
	for range 5 {
		c.Run(200)
		// Without the window rsync does not look at nanoseconds.
		cmd := exec.Command("rsync", "-aH", "--delete", "--modify-window=-1", "-e", "ssh -F "+s.ConfigFile, src+"/", "h:"+dst+"/")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		tree.WaitEqual(t, src, dst, 0, tree.Options{HardLinks: true})
	}
}
