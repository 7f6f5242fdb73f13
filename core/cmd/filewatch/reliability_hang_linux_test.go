package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// A source that does not answer holds up nobody but itself: its neighbours go on, whoever asks is told, the daemon
// starts and ends. When it answers again, so does all the rest.
func TestHungSource(t *testing.T) {
	t.Parallel()
	backing, destination := dirs(t)
	source := filepath.Join(filepath.Dir(backing), "mounted")
	shell(t, filepath.Dir(backing), "mkdir mounted")
	healthy, copied := dirs(t)
	fuse := bindfs(t, backing, source)
	config := localSync("hung", source, destination, "") + localSync("healthy", healthy, copied, "")
	d := startDaemon(t, config, fuse.enter)
	d.flushed(t)

	hung := func() {
		t.Helper()
		d.waitStatus(t, "hung", status.Held)
		if hold := d.status("hung").Hold; hold == nil || hold.Kind != string(guard.Unreadable) || !strings.Contains(hold.Text, "no answer since") {
			t.Errorf("the status says %+v", hold)
		}
		if why := d.cannotFlush(t); !strings.Contains(why, "no answer since") {
			t.Errorf("flush says %q", why)
		}
		if exit, _, stderr := d.command("verify", "hung"); exit != 1 || !strings.Contains(stderr, "no answer since") {
			t.Errorf("verify: exit status %d: %q", exit, stderr)
		}
		d.do("resync", "hung")
		shell(t, healthy, "echo >>more")
		d.do("flush", "healthy")
		same(t, healthy, copied)
	}
	t.Log("while it runs")
	heal := fuse.hang(t)
	shell(t, backing, "echo 1 > behind; rm first")
	hung()
	heal()
	tree.WaitEqual(t, backing, destination, patience, tree.Options{})
	d.flushed(t)

	t.Log("while it ends")
	heal = fuse.hang(t)
	hung()
	d.stop(t, syscall.SIGTERM)
	if d.err != nil {
		t.Errorf("after SIGTERM: %v", d.err)
	}

	t.Log("while it starts")
	shell(t, backing, "echo 2 > behind")
	d = startDaemon(t, config, fuse.enter)
	hung()
	heal()
	tree.WaitEqual(t, backing, destination, patience, tree.Options{})
	d.flushed(t)
}

// A destination on this machine that does not answer is away.
func TestHungDestination(t *testing.T) {
	t.Parallel()
	source, backing := dirs(t)
	destination := filepath.Join(filepath.Dir(backing), "mounted")
	shell(t, filepath.Dir(backing), "mkdir mounted")
	fuse := bindfs(t, backing, destination)
	d := startDaemon(t, localSync("s", source, destination, ""), fuse.enter)
	d.flushed(t)
	heal := fuse.hang(t)
	shell(t, source, "echo 1 > one; rm first")
	d.do("resync", "s")
	if s := d.waitStatus(t, "s", status.Away); !strings.Contains(s.Away.Text, "no answer since") {
		t.Errorf("the status says %+v", s.Away)
	}
	if why := d.cannotFlush(t); !strings.Contains(why, "no answer since") {
		t.Errorf("flush says %q", why)
	}
	heal()
	tree.WaitEqual(t, source, backing, patience, tree.Options{})
	d.flushed(t)
	heal = fuse.hang(t)
	defer heal()
	shell(t, source, "echo 2 > two")
	d.stop(t, syscall.SIGTERM)
	if d.err != nil {
		t.Errorf("after SIGTERM: %v", d.err)
	}
}
