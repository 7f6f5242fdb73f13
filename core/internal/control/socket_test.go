package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestModes(t *testing.T) {
	_, _, path := serve(t, &fake{})
	for file, want := range map[string]fs.FileMode{path: fs.ModeSocket | 0o600, filepath.Dir(path): fs.ModeDir | 0o700} {
		if info, err := os.Lstat(file); err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v, want %v", file, info.Mode(), err, want)
		}
	}
}

func TestCloseRemovesTheSocket(t *testing.T) {
	s, c, path := serve(t, &fake{})
	s.Close()
	if _, err := os.Lstat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	_, err := c.Status(t.Context(), "")
	if missing := (*NotRunningError)(nil); !errors.As(err, &missing) || err.Error() != "no filewatch runs with the state directory /state" {
		t.Error(err)
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	_, c, path := serve(t, &fake{})
	dir := filepath.Dir(path)
	_, err := start(Config{"/state", &fake{}, hclog.NewNullLogger()}, []string{dir, filepath.Join(t.TempDir(), "next")})
	if err == nil || !strings.Contains(err.Error(), "another filewatch with the same state directory listens on "+path) {
		t.Fatal(err)
	}
	if _, pid := peerOf(t, path); pid != 0 && !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Error(err)
	}
	// The first one is unharmed, and one with another state directory starts.
	other, err := start(Config{"/other", &fake{}, hclog.NewNullLogger()}, []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := c.Status(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if others := c.Others(t.Context()); len(others) != 1 || others[0].StateDir != "/other" || others[0].PID != os.Getpid() {
		t.Errorf("%+v", others)
	}
}

func peerOf(t *testing.T, path string) (uid, pid int) {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	uid, pid, err = peer(c.(*net.UnixConn))
	if err != nil {
		t.Fatal(err)
	}
	return uid, pid
}

// TestOneOfManyStarts: of daemons that start at once one gets the socket, though a dead one is in the way.
func TestOneOfManyStarts(t *testing.T) {
	for range 20 {
		dir := filepath.Join(t.TempDir(), "run")
		leaveStale(t, dir)
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			started []*Server
		)
		for range 10 {
			wg.Go(func() {
				s, err := start(Config{"/state", &fake{}, hclog.NewNullLogger()}, []string{dir})
				if err != nil {
					if !errors.As(err, new(*runningError)) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				started = append(started, s)
			})
		}
		wg.Wait()
		if len(started) != 1 {
			t.Fatalf("%d daemons listen", len(started))
		}
		if _, err := newClient([]string{dir}, "/state").Status(t.Context(), ""); err != nil {
			t.Error(err)
		}
		started[0].Close()
	}
}

// TestManyComeAndGo: daemons that end take nothing from those that start.
func TestManyComeAndGo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			stateDir := fmt.Sprintf("/state%d", i)
			c := newClient([]string{dir}, stateDir)
			for range 100 {
				s, err := start(Config{stateDir, &fake{}, hclog.NewNullLogger()}, []string{dir})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := c.Status(t.Context(), ""); err != nil {
					t.Error(err)
				}
				s.Close()
			}
		})
	}
	wg.Wait()
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// leaveStale makes a socket on which nobody listens.
func leaveStale(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socketIn(dir, "/state"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
}

func TestStaleSocketIsNoDaemon(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	leaveStale(t, dir)
	c := newClient([]string{dir}, "/state")
	if _, err := c.Status(t.Context(), ""); !errors.As(err, new(*NotRunningError)) {
		t.Error(err)
	}
	if others := c.Others(t.Context()); len(others) != 0 {
		t.Errorf("%+v", others)
	}
}

func TestCloseLeavesTheSocketOfAnother(t *testing.T) {
	first, c, path := serve(t, &fake{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := start(Config{"/state", &fake{}, hclog.NewNullLogger()}, []string{filepath.Dir(path)})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	first.Close()
	if _, err := c.Status(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

// TestDirectories: what cannot be trusted is left out, and told if nothing else is left.
func TestDirectories(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(dir string) error
		want string // "" = it will do
	}{
		{"new", func(string) error { return nil }, ""},
		{"there", func(dir string) error { return os.Mkdir(dir, 0o700) }, ""},
		{"read by others", func(dir string) error { return os.Mkdir(dir, 0o755) }, ""},
		{"written by others", func(dir string) error { return errors.Join(os.Mkdir(dir, 0), os.Chmod(dir, 0o777)) }, "others can write"},
		{"written by the group", func(dir string) error { return errors.Join(os.Mkdir(dir, 0), os.Chmod(dir, 0o770)) }, "others can write"},
		{"a file", func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "not a directory"},
		{"a link", func(dir string) error { return errors.Join(os.Mkdir(dir+"x", 0o700), os.Symlink(dir+"x", dir)) }, "not a directory"},
		{"without parent", func(dir string) error { return os.Remove(filepath.Dir(dir)) }, "no such file"},
		{"with a file for a socket", func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(socketIn(dir, "/state"), []byte("precious"), 0o600))
		}, "not a socket: remove it"},
		{strings.Repeat("long", 20), func(string) error { return nil }, "too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			base, next := shortDir(t), shortDir(t)
			dir := filepath.Join(base, test.name)
			if err := test.make(dir); err != nil {
				t.Fatal(err)
			}
			check := func(dirs ...string) error {
				s, err := start(Config{"/state", &fake{}, hclog.NewNullLogger()}, dirs)
				if err != nil {
					return err
				}
				defer s.Close()
				_, err = newClient(dirs, "/state").Status(t.Context(), "")
				return err
			}
			if err := check(dir); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if err := check(dir, next); err != nil {
				t.Errorf("with another directory: %v", err)
			}
			if content, err := os.ReadFile(socketIn(dir, "/state")); err == nil && string(content) != "precious" {
				t.Error("the file is gone")
			}
		})
	}
}

// shortDir makes a directory whose path has room for a socket, whatever the name of the test.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestRunDirs(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", "")
	t.Setenv("XDG_RUNTIME_DIR", "/xdg")
	t.Setenv("TMPDIR", "/var/tmp")
	own := fmt.Sprintf("filewatch-%d", os.Geteuid())
	want := []string{"/run/filewatch", "/xdg/filewatch", "/var/tmp/" + own, "/tmp/" + own}
	if got := runDirs(); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Error(got)
	}
	t.Setenv("RUNTIME_DIRECTORY", "/run/one:/run/two")
	if got := runDirs(); got[0] != "/run/one" || strings.Join(got[1:], " ") != strings.Join(want, " ") {
		t.Error(got)
	}
	t.Setenv("RUNTIME_DIRECTORY", "")
	t.Setenv("XDG_RUNTIME_DIR", "relative")
	t.Setenv("TMPDIR", "/tmp")
	if got := runDirs(); strings.Join(got, " ") != "/run/filewatch /tmp/"+own {
		t.Error(got)
	}
}
