package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
)

// patience is how long a test waits for what must happen. It bounds failures only.
const patience = 60 * time.Second

// What a child process of a test does is in its environment.
const (
	serveEnv   = "CONTROL_TEST_SERVE"   // serves DIR until it is killed, and says so
	connectEnv = "CONTROL_TEST_CONNECT" // asks the socket for the status and says what comes of it
	askEnv     = "CONTROL_TEST_ASK"     // is a client of the daemon in DIR
)

func TestMain(m *testing.M) {
	proc.EndAtOnce()
	switch {
	case os.Getenv(serveEnv) != "":
		if _, err := start(Config{"/state", &fake{}, hclog.NewNullLogger()}, []string{os.Getenv(serveEnv)}); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("serving")
		select {}
	case os.Getenv(connectEnv) != "":
		path := os.Getenv(connectEnv)
		client := &http.Client{Transport: &http.Transport{DialContext: dialer(path)}}
		_, err := client.Get("http://filewatch/v1/status")
		fmt.Print(err)
		return
	case os.Getenv(askEnv) != "":
		_, err := newClient([]string{os.Getenv(askEnv)}, "/state").Status(context.Background(), "")
		fmt.Print(err)
		return
	}
	os.Exit(m.Run())
}

// child returns the test binary as another program.
func child(env, value string) *exec.Cmd {
	// By this name another user can run it too, wherever it is.
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), env+"="+value)
	return cmd
}

// fake is a Daemon with the syncs "one" and "two".
type fake struct {
	flush  func(ctx context.Context, name string) error
	act    func(what, name string) error
	verify func(ctx context.Context, name string, repair bool, found func(string, sdk.Difference)) error
	asked  atomic.Int64 // calls of Status
}

func (f *fake) Status() status.Report {
	f.asked.Add(1)
	return status.Report{Version: "v1", PID: os.Getpid(), Syncs: []status.Sync{{Name: "two"}, {Name: "one"}}}
}

func known(name string) error {
	if name == "one" || name == "two" {
		return nil
	}
	return errors.New("unknown")
}

func (f *fake) Flush(ctx context.Context, name string) error {
	if err := known(name); name != "" && err != nil {
		return err
	}
	return f.flush(ctx, name)
}

func (f *fake) do(what, name string) error {
	if err := known(name); err != nil {
		return err
	}
	return f.act(what, name)
}

func (f *fake) Pause(name string) error  { return f.do("pause", name) }
func (f *fake) Resume(name string) error { return f.do("resume", name) }
func (f *fake) Resync(name string) error { return f.do("resync", name) }
func (f *fake) Approve(name string) ([]string, error) {
	return []string{"12 deletions at h:/a"}, f.do("approve", name)
}

func (f *fake) Verify(ctx context.Context, name string, repair bool, found func(string, sdk.Difference)) error {
	if err := known(name); err != nil {
		return err
	}
	return f.verify(ctx, name, repair, found)
}

// serve serves a daemon until the end of the test, and returns a client of it.
func serve(t testing.TB, d Daemon) (*Server, *Client, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	s, err := start(Config{"/state", d, hclog.NewNullLogger()}, []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, newClient([]string{dir}, "/state"), socketIn(dir, "/state")
}

// within fails the test unless c is closed or sends in time.
func within[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
	}
	return v
}
