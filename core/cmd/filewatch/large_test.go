package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
)

// A large file on its way over a slow line holds up nothing, and status tells of it.
func TestLargeFileHoldsUpNothing(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	config, p := overProxy(t, source, destination, "", "")
	d := startDaemon(t, "defaults {\n  large_file = \"1MB\"\n}\n"+config)
	d.flushed(t)
	p.Throttle(256 << 10) // two minutes for the large one
	shell(t, source, "mkdir d; head -c 30000000 /dev/urandom > d/big; head -c 1200000 /dev/urandom > d/second")
	d.travels(t, "d/big")
	for i := range 20 {
		// Beside it, elsewhere, and the directory that it is in.
		shell(t, source, fmt.Sprintf("echo %d > d/small; echo %d > small; echo x > d/new-%d; rm -f d/new-%d; chmod 7%d0 d", i, i, i, i-1, i%8))
		eventually(t, "a small change arrives", func() bool {
			a, _ := os.ReadFile(filepath.Join(destination, "d/small"))
			b, _ := os.ReadFile(filepath.Join(destination, "small"))
			_, missing := os.Stat(filepath.Join(destination, fmt.Sprintf("d/new-%d", i)))
			_, there := os.Stat(filepath.Join(destination, fmt.Sprintf("d/new-%d", i-1)))
			return string(a) == fmt.Sprintln(i) && string(b) == string(a) && missing == nil && there != nil
		})
	}
	if _, err := os.Stat(filepath.Join(destination, "d/big")); err == nil {
		t.Error("the large file was there first")
	}
	eventually(t, "status tells how far it is", func() bool {
		p := d.status("s").Progress
		return p != nil && p.Bytes > 100_000 && p.Portion > 0 && p.Portion < 1
	})
	// It is not forgotten.
	if exit, _, stderr := d.command("flush", "-timeout", "100ms"); exit != 1 {
		t.Errorf("flush while it travels: exit status %d: %s", exit, stderr)
	}
	if s := d.do("status"); !strings.Contains(s, "on its way: d/big") {
		t.Errorf("status:\n%s", s)
	}
	p.Throttle(0)
	d.flushed(t)
	same(t, source, destination)
	d.do("verify", "s")
}

// travels waits until a large file is on its way.
func (d *daemon) travels(t *testing.T, path string) {
	t.Helper()
	eventually(t, path+" is on its way", func() bool { return d.status("s").Large == path })
}

// Whatever happens to a large file on its way, the destination ends up as the source is.
func TestWhatHappensToALargeFile(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	config, p := overProxy(t, source, destination, "", "")
	config = "defaults {\n  large_file = \"1MB\"\n}\n" + config
	d := startDaemon(t, config)
	d.flushed(t)
	for i, tt := range []struct{ name, do string }{
		{"deleted", "rm d/e/big"},
		{"renamed", "mv d/e/big d/new"},
		{"renamed over another one", "mv d/e/big small"},
		{"replaced by a small one", "echo small > d/e/new; mv d/e/new d/e/big"},
		{"replaced by a large one", "head -c 3000000 /dev/urandom > d/e/new; mv d/e/new d/e/big"},
		{"replaced by a directory", "rm d/e/big; mkdir d/e/big; echo x > d/e/big/x; head -c 1500000 /dev/urandom > d/e/big/large"},
		{"replaced by a link", "ln -sfn nowhere d/e/big"},
		{"appended", "for i in $(seq 30); do echo $i >> d/e/big; sleep 0.02; done"},
		{"cut off", ": > d/e/big"},
		{"chmod", "chmod 600 d/e/big; touch -d 2020-01-01 d/e/big"},
		{"directory above removed", "rm -r d"},
		{"directory above replaced by a file", "rm -r d; echo x > d"},
		{"directory above replaced by a large file", "rm -r d/e; head -c 2000000 /dev/urandom > d/e"},
		{"directory above renamed", "mv d/e d/f"},
		{"directory above replaced by a link", "mv d/e d/f; ln -s f d/e"},
		{"rsync killed", "kill"},
		{"daemon killed", "restart"},
		{"lost at the destination", "lose"},
	} {
		p.Throttle(1 << 20)
		shell(t, source, "rm -rf d; mkdir -p d/e; echo x > d/e/x; echo small > small; head -c 6000000 /dev/urandom > d/e/big")
		d.travels(t, "d/e/big")
		switch tt.do {
		case "kill":
			for _, pid := range proc.Children(d.pid()) {
				if args, _ := os.ReadFile(filepath.Join("/proc", itoa(pid), "cmdline")); strings.HasPrefix(string(args), "rsync\x00") {
					_ = proc.Kill(pid, syscall.SIGKILL)
				}
			}
		case "restart":
			d.stop(t, syscall.SIGKILL)
			d = startDaemon(t, config)
		case "lose":
			if err := os.RemoveAll(filepath.Join(destination, "d")); err != nil {
				t.Fatal(err)
			}
		default:
			shell(t, source, tt.do)
		}
		shell(t, source, fmt.Sprintf("echo %d > other", i))
		eventually(t, tt.name+": another change arrives", func() bool {
			got, _ := os.ReadFile(filepath.Join(destination, "other"))
			return string(got) == fmt.Sprintln(i)
		})
		p.Throttle(0)
		began := time.Now()
		d.flushed(t)
		t.Logf("%s: in step after %v", tt.name, time.Since(began).Round(time.Millisecond))
		same(t, source, destination)
	}
}

// One run of everything takes the large files along.
func TestOnceWithLargeFiles(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	shell(t, source, "mkdir d; for i in 1 2 3; do head -c 200000 /dev/urandom > d/$i; done")
	shell(t, destination, "mkdir d d/1; touch d/1/x; head -c 200000 /dev/zero > d/2; head -c 200000 /dev/zero > gone")
	config := filepath.Join(t.TempDir(), "sync.hcl")
	text := fmt.Sprintf("state_dir = %q\nmax_transfers = 1\n", t.TempDir()) + localSync("s", source, destination, "large_file = 100000")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		shell(t, source, fmt.Sprintf("filewatch -config %q -once 2>&1", config))
	}
	same(t, source, destination)
}
