package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// The daemon ends while a transfer is under way and other changes wait, and more is changed while it does not
// run. The next one makes up for all of it, and for nothing else.
func TestRestartWithChangesPending(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			server := sshd.Start(t, sshd.Config{})
			source, destination := dirs(t)
			files(t, source, 20, "kept", "removed", "renamed")
			shell(t, destination, "mkdir -p cache kept/cache; echo here > cache/here; echo here > kept/cache/here; echo own > own.local")
			const exclude = `exclude = ["cache/", "*.local"]`
			excluded := func(path string) bool {
				return strings.HasSuffix(path, "cache") || strings.HasSuffix(path, ".local") || path == "" || path == "kept"
			}
			// Nothing else gets through while the large file does, for which SIGTERM leaves it the time.
			slow := strings.Replace(sshSync("s", source, destination, server, exclude), "ssh {", "bwlimit = \"100\"\n    ssh {", 1)
			d := startDaemon(t, slow)
			d.flushed(t)
			tree.WaitEqual(t, source, destination, patience, tree.Options{Ignore: excluded})
			shell(t, source, "head -c 300000 /dev/urandom > big")
			d.transferring(t, destination)
			shell(t, source, "rm -r removed; mv renamed moved; echo new > kept/new; echo changed > kept/file-1")
			eventually(t, "changes are pending", func() bool { return d.status("s").Pending > 1 })
			d.stop(t, signal)
			if info, err := os.Lstat(filepath.Join(destination, "big")); err == nil && info.Size() != 300_000 {
				t.Error("half a file has its final name")
			}
			shell(t, source, "echo meanwhile > meanwhile; rm kept/file-2")
			d = startDaemon(t, sshSync("s", source, destination, server, exclude))
			d.flushed(t)
			tree.WaitEqual(t, source, destination, patience, tree.Options{Ignore: excluded})
			shell(t, destination, "test -f cache/here; test -f kept/cache/here; test -f own.local")
			if left := matching(t, destination+"/.big.*"); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// What has arrived of a file is out of sight until all of it has, and what a killed rsync leaves goes with
// the next comparison.
func TestHalfFilesAreOutOfSight(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		partial bool
		kill    func(t *testing.T, d *daemon, destination string)
	}{
		{"the receiver is killed", false, killReceiver},
		{"the receiver is killed, with partial", true, killReceiver},
		{"the daemon is killed, with partial", true, killDaemon},
	} {
		t.Run(test.name, func(t *testing.T) {
			source, destination := dirs(t)
			shell(t, source, "mkdir dir")
			config := func(more string) string {
				return localSync("s", source, destination, fmt.Sprintf("transport \"rsync\" {\n partial = %v\n %s\n}", test.partial, more))
			}
			d := startDaemon(t, config(`bwlimit = "300"`))
			d.flushed(t)
			shell(t, source, "head -c 3000000 /dev/urandom > dir/big")
			d.transferring(t, filepath.Join(destination, "dir"))
			test.kill(t, d, destination)
			if visible := matching(t, destination+"/dir/[^.]*"); len(visible) > 0 {
				t.Errorf("in sight: %q", visible)
			}
			d.stop(t, syscall.SIGKILL)
			startDaemon(t, config("")).flushed(t)
			same(t, source, destination)
		})
	}
}

func killDaemon(t *testing.T, d *daemon, _ string) {
	t.Helper()
	d.stop(t, syscall.SIGKILL)
}

// killReceiver kills the rsync that writes below destination.
func killReceiver(t *testing.T, d *daemon, destination string) {
	t.Helper()
	eventually(t, "rsync writes a file", func() bool {
		for _, pid := range proc.Children(d.pid()) {
			open, _ := filepath.Glob(filepath.Join("/proc", itoa(pid), "fd", "*"))
			for _, fd := range open {
				if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, destination+"/") {
					if err := proc.Kill(pid, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
					return true
				}
			}
		}
		return false
	})
}
