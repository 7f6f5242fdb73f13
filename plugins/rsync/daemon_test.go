package rsync

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
	"github.com/filewatch/filewatch/sdk/run"
)

// daemon returns a fixture whose destination is a module of an rsync daemon, with these settings.
func daemon(t *testing.T, settings string) *fixture {
	t.Helper()
	f := local(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	f.must(err)
	port := l.Addr().(*net.TCPAddr).Port
	f.must(l.Close())
	conf := filepath.Join(t.TempDir(), "rsyncd.conf")
	f.must(os.WriteFile(conf, []byte(fmt.Sprintf("use chroot = yes\nuid = 0\ngid = 0\n[mod]\npath = %s\nread only = no\n%s\n", filepath.Dir(f.dst), settings)), 0o644))
	p, err := run.Start(t.Context(), run.Command{
		Path: realRsync,
		Args: []string{"--daemon", "--no-detach", "--config=" + conf, "--port=" + fmt.Sprint(port), "--address=127.0.0.1", "--log-file=/dev/null"},
	})
	f.must(err)
	t.Cleanup(func() { p.Stop(); p.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.req.Destination = sdk.Endpoint{Scheme: "rsync", Host: "127.0.0.1", Port: port, Path: "mod/" + filepath.Base(f.dst)}
	return f
}

func TestDaemon(t *testing.T) {
	t.Parallel()
	f := daemon(t, "")
	churn(f, 5, tree.ChurnOptions{}, tree.Options{})
}

func TestDaemonFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, settings string
		change         func(*fixture)
		want           string
	}{
		{"module", "", func(f *fixture) { f.req.Destination.Path = "nomod/x" }, "says: Unknown module 'nomod'"},
		{"read only", "read only = yes", nil, "says: module is read only"},
		{"no deletions", "refuse options = delete", nil, "refuse"},
		{"two levels down", "", func(f *fixture) { f.req.Destination.Path = "mod/no/such" }, "create it with: mkdir -p, in the daemon's module"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := daemon(t, tt.settings)
			f.write(f.src, "a")
			if tt.change != nil {
				tt.change(f)
			}
			res, err := f.try(paths("a")...)
			if !sdk.IsMisconfigured(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s", describe(res, err))
			}
		})
	}
	f := daemon(t, "refuse options = delete")
	f.req.Delete = false
	f.write(f.src, "a")
	f.sync(paths("a", "b")...)
	f.equal(tree.Options{})
}
