// Package sshd runs a private OpenSSH server on the loopback address for tests: with its own keys,
// configuration and known_hosts file, on a free port, for the current user, and with sessions that
// can be cut at will. It needs sshd, ssh and ssh-keygen.
package sshd

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
)

const (
	// wait bounds the start and the end of processes; it is that long for a busy machine.
	wait = 30 * time.Second
	// Ports are taken from below the range that Linux gives to clients (ip_local_port_range), so that
	// nobody gets the port of a stopped server by chance.
	firstPort, lastPort = 20000, 32000
)

// T is what is needed of a testing.TB. A program that is not a test brings its own.
type T interface {
	proc.T
	TempDir() string // removed after all that Cleanup was given has been called
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
}

// Config says how a server differs from the usual one. The zero value is a server that lets the
// current user in with Server.IdentityFile.
type Config struct {
	// Lines go at the top of sshd_config, where they win over the others. SetEnv is taken, use Env;
	// Match blocks are not possible.
	Lines []string
	// Env is set in all sessions. PATH, for instance, decides what commands they find, and
	// "PATH": "/nonexistent" makes none found. HOME is an empty directory unless set, so that the start
	// files of the login shell do not slow sessions down.
	Env map[string]string
}

// Server is a running sshd. Its methods belong to the goroutine of the test.
type Server struct {
	Host         string // 127.0.0.1
	Port         int
	User         string // the current user
	IdentityFile string // a private key that is let in
	KnownHosts   string // holds the server's key
	ConfigFile   string // for ssh -F: any host name leads to this server, with the above

	t      T
	dir    string
	sshd   string
	env    map[string]string
	lines  []string
	pam    bool
	args   []string      // that depend on the version of sshd
	marker string        // environment entry of all sessions
	cmd    *exec.Cmd     // the listener; nil when stopped
	ended  chan struct{} // closed when cmd has ended
}

// Start starts a server and ends it, and all of its sessions, with the test. When the test has failed
// by then, the end of the server's log is shown. Start ends the test if there can be no server.
func Start(t T, c Config) *Server {
	t.Helper()
	s := &Server{t: t, Host: "127.0.0.1", dir: t.TempDir(), env: c.Env, lines: c.Lines}
	s.marker = "FILEWATCH_TEST_SSHD=" + s.dir
	if err := s.setUp(); err != nil {
		t.Fatalf("sshd: %v", err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("end of the sshd log:\n%s", tail(s.log(), 4096))
		}
	})
	// Somebody else may be faster at a port.
	for try := 0; ; try++ {
		s.Port = firstPort + rand.IntN(lastPort-firstPort)
		err := s.listen()
		if err == nil {
			return s
		}
		if !errors.Is(err, errPortTaken) || try == 10 {
			t.Fatalf("sshd: %v", err)
		}
	}
}

// Stop ends the listener and all sessions, with everything they started, at once: the host is away.
// It returns when they are gone.
func (s *Server) Stop() {
	s.t.Helper()
	if s.cmd == nil {
		return
	}
	s.cut(syscall.SIGKILL)
	<-s.ended
	s.cmd = nil
}

// Restart starts the server again on the same port, after Stop if it runs.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.listen(); err != nil {
		s.t.Fatalf("sshd: restart: %v", err)
	}
}

// PID is the id of the listener, of which the sessions are descendants; 0 when it is stopped.
func (s *Server) PID() int {
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// Sessions returns the processes that serve sessions, with all that they started.
func (s *Server) Sessions() []int {
	var pids []int
	if s.cmd != nil {
		pids = proc.Children(s.cmd.Process.Pid)
	}
	for _, pid := range proc.WithEnv(s.marker) { // those whose parent died
		if !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// KillSessions ends all sessions, with everything they started, and leaves the listener running. It
// returns when they are gone.
func (s *Server) KillSessions() {
	s.t.Helper()
	if s.cmd == nil {
		return
	}
	s.cut(syscall.SIGCONT)
}

// cut kills all sessions while the listener is halted, and then sends it sig.
func (s *Server) cut(sig syscall.Signal) {
	s.t.Helper()
	listener := s.cmd.Process.Pid
	proc.Halt(s.t, listener)
	// Halted before they are killed, parents first, or a child could start another one unseen.
	halted := map[int]bool{}
	for deadline := time.Now().Add(wait); ; {
		found := false
		for _, pid := range s.Sessions() {
			if !halted[pid] {
				halted[pid], found = true, true
				proc.Halt(s.t, pid)
			}
		}
		if !found {
			break
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("sshd: the sessions start processes faster than they can be halted")
		}
	}
	var pids []int
	for pid := range halted {
		s.signal(pid, syscall.SIGKILL)
		pids = append(pids, pid)
	}
	s.signal(listener, sig)
	proc.WaitGone(s.t, pids, wait)
}

func (s *Server) signal(pid int, sig syscall.Signal) {
	s.t.Helper()
	if err := proc.Kill(pid, sig); err != nil {
		s.t.Fatalf("sshd: %v", err)
	}
}

// setUp finds the programs, and makes the keys.
func (s *Server) setUp() error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	s.User = me.Username
	// Readable for root only, but so is this trouble.
	shadow, _ := os.ReadFile("/etc/shadow")
	s.pam = locked(shadow, s.User)
	if s.sshd, err = find(); err != nil {
		return err
	}
	if err := os.Mkdir(s.path("home"), 0o700); err != nil {
		return err
	}
	for _, key := range []string{"host_key", "id"} {
		if err := s.keygen(key); err != nil {
			return err
		}
	}
	s.IdentityFile, s.KnownHosts, s.ConfigFile = s.path("id"), s.path("known_hosts"), s.path("ssh_config")
	return nil
}

var errPortTaken = errors.New("port is taken")

// listen writes the configuration for s.Port, starts the listener and waits until it listens.
func (s *Server) listen() error {
	if err := s.configure(); err != nil {
		return err
	}
	log, err := os.Create(s.path("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	// sshd wants to know its own full path, to start itself again for each connection.
	cmd := exec.Command(s.sshd, append([]string{"-D", "-e", "-f", s.path("sshd_config"), "-o", "LogLevel=VERBOSE"}, s.args...)...)
	cmd.Stderr = log
	ended, err := start(cmd)
	if err != nil {
		return err
	}
	s.cmd, s.ended = cmd, ended
	up := []byte(fmt.Sprintf("Server listening on %s port %d.", s.Host, s.Port))
	deadline := time.After(wait)
	for {
		if bytes.Contains(s.log(), up) {
			return nil
		}
		select {
		case <-ended:
			s.cmd = nil
			text := s.log()
			if bytes.Contains(text, []byte("Address already in use")) {
				return errPortTaken
			}
			return fmt.Errorf("%s ended:\n%s", s.sshd, text)
		case <-deadline:
			s.Stop()
			return fmt.Errorf("%s does not listen:\n%s", s.sshd, s.log())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

var missingDir = regexp.MustCompile(`Missing privilege separation directory: (\S+)`)

// check lets sshd judge its configuration, and mends what can be mended.
func (s *Server) check() error {
	test := func(more ...string) ([]byte, error) {
		return exec.Command(s.sshd, append([]string{"-t", "-f", s.path("sshd_config")}, more...)...).CombinedOutput()
	}
	out, err := test()
	if m := missingDir.FindSubmatch(out); err != nil && m != nil {
		if err := os.MkdirAll(string(m[1]), 0o755); err != nil {
			return err
		}
		out, err = test()
	}
	if err != nil {
		return fmt.Errorf("%s -t: %w\n%s", s.sshd, err, out)
	}
	// From 9.8 on sshd shuts out an address after failures, which tests make on purpose.
	if _, err := test("-o", "PerSourcePenalties=no"); err == nil {
		s.args = []string{"-o", "PerSourcePenalties=no"}
	}
	return nil
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) log() []byte {
	data, _ := os.ReadFile(s.path("log"))
	return data
}

// find returns the full path of sshd, which is rarely in the PATH of ordinary users.
func find() (string, error) {
	for _, name := range []string{"sshd", "/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"} {
		if file, err := exec.LookPath(name); err == nil {
			return filepath.Abs(file)
		}
	}
	return "", errors.New("no sshd in PATH or /usr/sbin: install openssh-server")
}

func tail(text []byte, n int) string {
	return strings.ToValidUTF8(string(text[max(0, len(text)-n):]), "?")
}
