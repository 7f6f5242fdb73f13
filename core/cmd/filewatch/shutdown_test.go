package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// slowSync is a sync block over ssh at 100 KiB/s.
func slowSync(name, source, destination string, s *sshd.Server) string {
	return strings.Replace(sshSync(name, source, destination, s, ""), `transport "rsync" {`, `transport "rsync" {
    bwlimit = "100"`, 1)
}

// transferring waits until an rsync of the daemon's has been sending for a moment.
func (d *daemon) transferring(t *testing.T, destination string) {
	t.Helper()
	eventually(t, "rsync transfers", func() bool {
		temps, err := filepath.Glob(filepath.Join(destination, ".big.*"))
		return err == nil && len(temps) > 0
	})
}

func TestKilledDaemonLeavesNothing(t *testing.T) {
	t.Parallel()
	server := sshd.Start(t, sshd.Config{})
	source, destination := dirs(t)
	shell(t, source, "head -c 5000000 /dev/urandom > big")
	d := startDaemon(t, slowSync("s", source, destination, server))
	d.transferring(t, destination)
	children := proc.Children(d.pid())
	d.signal(syscall.SIGKILL)
	<-d.done
	proc.WaitGone(t, children, 2*time.Second)
	for _, pid := range proc.WithArg(source) {
		t.Errorf("left behind: %s", proc.Cmdline(pid))
	}
	startDaemon(t, sshSync("s", source, destination, server, ""))
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
}

// A transfer that is longer than the shutdown time is given up; nothing half-written is left under its
// name, and the next start sends it.
func TestSigtermDuringALongTransfer(t *testing.T) {
	t.Parallel()
	server := sshd.Start(t, sshd.Config{})
	source, destination := dirs(t)
	shell(t, source, "head -c 20000000 /dev/urandom > big")
	d := startDaemon(t, slowSync("s", source, destination, server))
	d.transferring(t, destination)
	d.signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(shutdownTimeout + 10*time.Second):
		t.Fatal("filewatch does not end")
	}
	if d.err != nil {
		t.Errorf("filewatch ended with %v", d.err)
	}
	if _, err := os.Lstat(filepath.Join(destination, "big")); err == nil {
		t.Error("half a file has its final name")
	}
	startDaemon(t, sshSync("s", source, destination, server, ""))
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
}

// A transfer that ends within the shutdown time is waited for.
func TestSigtermDuringAShortTransfer(t *testing.T) {
	t.Parallel()
	server := sshd.Start(t, sshd.Config{})
	source, destination := dirs(t)
	shell(t, source, "head -c 300000 /dev/urandom > big")
	d := startDaemon(t, slowSync("s", source, destination, server))
	d.transferring(t, destination)
	d.signal(syscall.SIGTERM)
	<-d.done
	if d.err != nil {
		t.Errorf("filewatch ended with %v", d.err)
	}
	if diff, err := tree.Diff(source, destination, tree.Options{}); err != nil || diff != "" {
		t.Errorf("the transfer was not finished: %v\n%s", err, diff)
	}
}
