package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// The disk of a destination is unmounted under a running daemon. Nothing is written to what appears there
// instead, and what is mounted later is filled, whether it is the same disk or an empty one.
func TestUnmountedDestination(t *testing.T) {
	t.Parallel()
	for _, below := range []string{"", "/dir"} { // the mount point itself, or a directory on the disk
		t.Run("destination "+below, func(t *testing.T) {
			m := newMounts(t)
			source, point := dirs(t)
			destination := point + below
			mount := func() {
				t.Helper()
				m.run("mount -t tmpfs disk '" + point + "'; mkdir -p '" + destination + "'")
			}
			mount()
			config := localSync("s", source, destination, `transport "rsync" { bwlimit = "20M" }`)
			d := startDaemon(t, config, m.enter)
			d.flushed(t)
			same(t, source, m.path(destination))
			away := func() {
				t.Helper()
				s := d.waitStatus(t, "s", status.Away)
				for _, part := range []string{"nothing is mounted on " + point, "mount " + point, "restart filewatch"} {
					if s.Away == nil || !strings.Contains(s.Away.Text, part) {
						t.Errorf("status says %+v, not %q", s.Away, part)
					}
				}
				if why := d.cannotFlush(t); !strings.Contains(why, "nothing is mounted on "+point) {
					t.Errorf("flush says %q", why)
				}
				if exit, _, _ := d.command("verify", "s"); exit == 0 {
					t.Error("a destination that is away was verified")
				}
				if names, err := os.ReadDir(m.path(point)); err != nil || len(names) > 0 {
					t.Errorf("below the mount point: %v, %v", names, err)
				}
			}

			t.Log("while nothing is to be sent")
			m.run("umount -l '" + point + "'")
			away()
			shell(t, source, "echo 1 > one; rm first")
			d.do("resync", "s")
			away()

			t.Log("back, and empty")
			mount()
			tree.WaitEqual(t, source, m.path(destination), patience, tree.Options{})
			d.do("resync", "s")
			d.flushed(t)
			same(t, source, m.path(destination))

			t.Log("another one between two transfers")
			m.run("umount -l '" + point + "'")
			mount()
			shell(t, source, "echo 2 > two")
			tree.WaitEqual(t, source, m.path(destination), patience, tree.Options{})

			t.Log("in the midst of a transfer")
			shell(t, source, "head -c 30000000 /dev/urandom > big")
			eventually(t, "rsync writes", func() bool { return len(matching(t, m.path(destination)+"/.big.*")) > 0 })
			m.run("umount -l '" + point + "'")
			away()

			t.Log("gone for good")
			d.stop(t, syscall.SIGTERM)
			if below != "" {
				m.run("mkdir '" + destination + "'")
			}
			startDaemon(t, config, m.enter).flushed(t)
			same(t, source, m.path(destination))
			if got := matching(t, filepath.Join(m.path(destination), "big")); len(got) != 1 {
				t.Error("big is not there")
			}
		})
	}
}
