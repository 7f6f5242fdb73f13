package rsync

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// remote returns a fixture whose destination is reached through a private sshd.
func remote(t testing.TB, c sshd.Config) (*fixture, *sshd.Server) {
	t.Helper()
	server := sshd.Start(t, c)
	f := local(t)
	f.req.Destination = sdk.Endpoint{Scheme: sdk.SchemeSSH, User: server.User, Host: "web1", Path: f.dst}
	f.config().SSH = &sshConfig{ConfigFile: server.ConfigFile}
	return f, server
}

// masters returns the shared connections of a fixture's transport.
func (f *fixture) masters() []int {
	f.tr.mu.Lock()
	dir := f.tr.dir
	f.tr.mu.Unlock()
	if dir == "" {
		return nil
	}
	var pids []int
	for _, pid := range proc.WithArg(dir + "/") {
		if strings.Contains(proc.Cmdline(pid), "-M") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestRemoteChurn(t *testing.T) {
	t.Parallel()
	for _, mode := range modes[:2] {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			f, _ := remote(t, sshd.Config{})
			f.force(mode.caps)
			churn(f, 11, tree.ChurnOptions{}, tree.Options{})
		})
	}
}

func TestRemoteProbe(t *testing.T) {
	t.Parallel()
	f, _ := remote(t, sshd.Config{})
	f.write(f.src, "a")
	f.write(f.dst, "gone")
	f.sync(paths("a", "gone")...)
	f.equal(tree.Options{})
	if len(f.tr.caps) != 1 {
		t.Fatalf("%v", f.tr.caps)
	}
	for _, known := range f.tr.caps {
		if known.caps != allCaps {
			t.Errorf("probe found %+v", known.caps)
		}
	}
}

func TestRemotePaths(t *testing.T) {
	t.Parallel()
	f, _ := remote(t, sshd.Config{})
	f.write(f.src, "a")
	for _, name := range []string{"sp ace", "quo'te\"", "$HOME;echo", "back\\slash", "-dash", "~", "#", "col:on", "ü", "(x)"} {
		f.req.Destination.Path = filepath.Join(f.dst, name)
		f.sync(paths("a")...)
		if !f.exists(name + "/a") {
			t.Errorf("%q: not where it belongs", name)
		}
	}
	entries, err := os.ReadDir(f.dst)
	f.must(err)
	if len(entries) != 10 {
		t.Errorf("%v", entries)
	}
}

// Paths without a leading slash start at the home directory.
func TestRemoteHome(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	f, _ := remote(t, sshd.Config{Env: map[string]string{"HOME": home}})
	f.write(f.src, "a")
	f.must(os.Mkdir(filepath.Join(home, "sub"), 0o755))
	// sshd starts sessions in the home directory of the password file; a wrapper stands in.
	f.config().RsyncPath = "cd '" + home + "' && rsync"
	for p, want := range map[string]string{"one": "one/a", "~/two": "two/a", "~/sub/th ree": "sub/th ree/a", "-x": "-x/a", "sub": "sub/a", "~": "a"} {
		f.req.Destination.Path = p
		f.sync(paths("a")...)
		if _, err := os.Stat(filepath.Join(home, want)); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestRemoteFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		server sshd.Config
		change func(*fixture, *sshd.Server)
		class  func(error) bool
		want   string
	}{
		{"unknown host key", sshd.Config{}, func(f *fixture, s *sshd.Server) {
			f.config().SSH.ConfigFile = s.ClientConfig(s.IdentityFile, s.EmptyKnownHosts())
		}, sdk.IsMisconfigured, "the host key of root@web1 is unknown: connect once with ssh root@web1"},
		{"changed host key", sshd.Config{}, func(f *fixture, s *sshd.Server) {
			f.config().SSH.ConfigFile = s.ClientConfig(s.IdentityFile, s.ChangedKnownHosts())
		}, sdk.IsMisconfigured, "the host key of root@web1 is not the one that ssh knows"},
		{"refused key", sshd.Config{}, func(f *fixture, s *sshd.Server) {
			f.config().SSH.ConfigFile = s.ClientConfig(s.RefusedIdentity(), s.KnownHosts)
		}, sdk.IsMisconfigured, "install the key with ssh-copy-id root@web1"},
		{"no rsync", sshd.Config{Env: map[string]string{"PATH": "/nonexistent"}}, nil, sdk.IsMisconfigured, "rsync is not installed on root@web1: install it there, or set rsync_path"},
		{"wrong rsync_path", sshd.Config{}, func(f *fixture, _ *sshd.Server) {
			f.config().RsyncPath = "/no/such/rsync"
		}, sdk.IsMisconfigured, "/no/such/rsync is not installed on root@web1"},
		{"no rsync for sudo", sshd.Config{}, func(f *fixture, _ *sshd.Server) {
			f.config().RsyncPath = "sh -c 'echo sudo: /no/rsync: command not found >&2; exit 1' /no/rsync"
		}, sdk.IsMisconfigured, "is not installed on root@web1"},
		{"rsync_path is no program", sshd.Config{}, func(f *fixture, s *sshd.Server) {
			f.config().RsyncPath = s.KnownHosts
		}, sdk.IsMisconfigured, "on root@web1 cannot be executed"},
		{"noisy shell", sshd.Config{}, func(f *fixture, _ *sshd.Server) {
			f.config().RsyncPath = "echo Welcome to web1; rsync"
		}, sdk.IsMisconfigured, "the login shell of root@web1 prints text"},
		{"destination two levels down", sshd.Config{}, func(f *fixture, _ *sshd.Server) {
			f.req.Destination.Path += "/no/such"
		}, sdk.IsMisconfigured, "create it with: ssh root@web1 mkdir -p "},
		{"no server", sshd.Config{}, func(_ *fixture, s *sshd.Server) { s.Stop() }, sdk.IsUnavailable, "connect to root@web1: connect to host 127.0.0.1 port "},
		{"unknown host", sshd.Config{}, func(f *fixture, s *sshd.Server) {
			f.config().SSH = &sshConfig{Options: map[string]string{"HostName": "no-such-host.invalid"}}
		}, sdk.IsUnavailable, "Could not resolve hostname"},
		{"bad ssh option", sshd.Config{}, func(f *fixture, _ *sshd.Server) {
			f.config().SSH.Options = map[string]string{"NoSuchOption": "yes"}
		}, sdk.IsMisconfigured, "ssh: command-line: line 0: Bad configuration option: nosuchoption"},
		{"no ssh config", sshd.Config{}, func(f *fixture, _ *sshd.Server) {
			f.config().SSH.ConfigFile = "/no/such/config"
		}, sdk.IsMisconfigured, "Can't open user config file /no/such/config"},
		{"no ssh", sshd.Config{}, func(f *fixture, _ *sshd.Server) {
			f.config().SSH.Command = []string{"/no/such/ssh"}
		}, sdk.IsMisconfigured, "/no/such/ssh is not installed on this machine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, server := remote(t, tt.server)
			f.req.Destination.User = "root"
			f.write(f.src, "a")
			if tt.change != nil {
				tt.change(f, server)
			}
			for range 2 {
				res, err := f.try(paths("a")...)
				if err == nil || !tt.class(err) || !strings.Contains(err.Error(), tt.want) || strings.ContainsAny(err.Error(), "\r\n") {
					t.Errorf("%s", describe(res, err))
				}
			}
			if f.exists("a") {
				t.Error("transferred after all")
			}
		})
	}
}

// The shared connection is one process; when it dies the next request has another.
func TestConnectionIsKilled(t *testing.T) {
	t.Parallel()
	f, server := remote(t, sshd.Config{})
	f.write(f.src, "a")
	f.sync(paths("a")...)
	first := f.masters()
	f.write(f.src, "b")
	f.sync(paths("b")...)
	if again := f.masters(); len(first) != 1 || len(again) != 1 || again[0] != first[0] {
		t.Fatalf("masters %v, then %v", first, again)
	}
	for _, end := range []struct {
		name string
		do   func(pid int)
	}{
		{"killed", func(pid int) { f.must(proc.Kill(pid, syscall.SIGKILL)) }},
		{"ended", func(pid int) { f.must(proc.Kill(pid, syscall.SIGTERM)) }},
		{"cut by the server", func(int) { server.KillSessions() }},
	} {
		old := f.masters()
		end.do(old[0])
		proc.WaitGone(t, old, 5*time.Second)
		f.tr.conns[peer{sync: f.req.Sync, destination: f.req.Destination}].next = time.Time{} // no pause
		f.write(f.src, end.name)
		f.sync(paths(end.name)...)
		if now := f.masters(); len(now) != 1 || now[0] == old[0] {
			t.Errorf("%s: masters %v, then %v", end.name, old, now)
		}
	}
	f.equal(tree.Options{})
}

// While the shared connection is in its pause, runs connect by themselves.
func TestWithoutSharedConnection(t *testing.T) {
	t.Parallel()
	for _, lines := range [][]string{nil, {"MaxSessions 1"}} {
		f, _ := remote(t, sshd.Config{Lines: lines})
		f.write(f.src, "a")
		f.sync(paths("a")...)
		if lines == nil {
			c := f.tr.conns[peer{sync: f.req.Sync, destination: f.req.Destination}]
			c.next = time.Now().Add(time.Hour)
			pids := f.masters()
			f.must(proc.Kill(pids[0], syscall.SIGKILL))
			proc.WaitGone(t, pids, 5*time.Second)
		}
		f.write(f.src, "b")
		f.sync(paths("b")...)
		f.equal(tree.Options{})
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	f, server := remote(t, sshd.Config{})
	f.write(f.src, "a")
	f.sync(paths("a")...)
	dir, pids := f.tr.dir, f.masters()
	if len(pids) != 1 || dir == "" {
		t.Fatalf("masters %v in %q", pids, dir)
	}
	f.must(f.tr.Close())
	proc.WaitGone(t, pids, time.Second)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("left: %v", err)
	}
	proc.WaitGone(t, server.Sessions(), 5*time.Second)
	if _, err := f.try(paths("a")...); err == nil {
		t.Error("Sync works after Close")
	}
}

func TestRunDir(t *testing.T) {
	run := t.TempDir()
	t.Setenv("FILEWATCH_RUN_DIR", run)
	f, _ := remote(t, sshd.Config{})
	f.write(f.src, "a")
	f.sync(paths("a")...)
	if filepath.Dir(f.tr.dir) != run {
		t.Errorf("control sockets are in %s, not below %s", f.tr.dir, run)
	}
	// A name that is too long for a socket.
	long := filepath.Join(run, strings.Repeat("x", 100))
	f.must(os.Mkdir(long, 0o700))
	t.Setenv("FILEWATCH_RUN_DIR", long)
	dir, err := privateDir()
	f.must(err)
	defer os.Remove(dir)
	if len(dir) > maxControlPath {
		t.Errorf("%s is too long", dir)
	}
	left, err := os.ReadDir(long)
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// A new configuration gets a new connection.
func TestConfigChange(t *testing.T) {
	t.Parallel()
	f, _ := remote(t, sshd.Config{})
	f.write(f.src, "a")
	f.sync(paths("a")...)
	first := f.masters()
	f.config().SSH.Options = map[string]string{"ServerAliveInterval": "7"}
	f.write(f.src, "b")
	f.sync(paths("b")...)
	proc.WaitGone(t, first, 5*time.Second)
	if now := f.masters(); len(now) != 1 {
		t.Errorf("masters %v, then %v", first, now)
	}
}

func TestTransferIsCut(t *testing.T) {
	t.Parallel()
	f, server := remote(t, sshd.Config{})
	big := f.slow()
	result := make(chan error, 1)
	go func() {
		_, err := f.try(big)
		result <- err
	}()
	f.transferring(f.src + "/")
	server.KillSessions()
	if err := <-result; !sdk.IsUnavailable(err) {
		t.Errorf("got %v", err)
	}
	f.config().BWLimit = ""
	f.sync(append(subtrees(""), big)...)
	f.equal(tree.Options{})
}
