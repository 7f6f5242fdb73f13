package main

import (
	"fmt"
	"os"
	"os/exec"
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

// unmountingRsync stands in rsync's place. While a flag is up it first unmounts a disk, and notes how that went. One
// that is put on standby may start between two transfers, when that may succeed: it looks at nothing.
const unmountingRsync = `#!/bin/sh
case " $* " in
*" -- / "*) ;;
*) [ ! -e %[1]q ] || if umount %[2]q; then echo unmounted; else echo busy; fi >>%[3]q ;;
esac
exec %[4]q "$@"
`

// The disk of a destination cannot be unmounted between the look at it and the rsync that follows, so that
// nothing is written below its mount point; after that it can.
func TestUnmountedBeforeRsyncStarts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, below, options string }{
		{"mount point", "", ""},
		{"directory on the disk", "/dir", ""},
		{"directory that is to be made", "/new", ""},
		{"no standby", "", `standby = "0"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMounts(t)
			rsync, err := exec.LookPath("rsync")
			if err != nil {
				t.Fatal(err)
			}
			source, point := dirs(t)
			bin := t.TempDir()
			flag, told := filepath.Join(bin, "flag"), filepath.Join(bin, "told")
			writeFile(t, filepath.Join(bin, "rsync"), fmt.Sprintf(unmountingRsync, flag, point, told, rsync))
			shell(t, bin, "chmod 755 rsync")
			m.run("mount -t tmpfs disk '" + point + "'; mkdir '" + point + "/dir'")
			destination := point + test.below
			config := localSync("s", source, destination, `transport "rsync" { `+test.options+` }`)
			find := func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH")) }
			tried := func() {
				t.Helper()
				text, err := os.ReadFile(told)
				if err != nil || strings.Trim(string(text), "busy\n") != "" {
					t.Errorf("rsync's place was told %q, %v", text, err)
				}
				shell(t, bin, "rm -f flag told")
			}
			unmounted := func() {
				t.Helper()
				if names, err := os.ReadDir(m.path(point)); err != nil || len(names) > 0 {
					t.Errorf("below the mount point: %v, %v", names, err)
				}
			}

			writeFile(t, flag, "")
			file := filepath.Join(bin, "sync.hcl")
			writeFile(t, file, config)
			once := exec.Command("filewatch", "-config", file, "-once")
			once.Env = append(os.Environ(), ownDirs(t)...)
			find(once)
			m.enter(once)
			if out, err := once.CombinedOutput(); err != nil {
				t.Errorf("-once: %v\n%s", err, out)
			}
			tried()
			same(t, source, m.path(destination))

			d := startDaemon(t, config, find, m.enter)
			d.flushed(t)
			for _, how := range []string{"resync", "verify", "flush"} {
				writeFile(t, flag, "")
				shell(t, source, "echo "+how+" > "+how)
				d.command(how, "s") // verify may find the change
				d.flushed(t)
				if how != "flush" { // for it there may be a standby
					tried()
				}
				shell(t, bin, "rm -f flag told")
				same(t, source, m.path(destination))
			}
			eventually(t, "the disk can be unmounted", func() bool {
				return exec.Command("nsenter", "-t", itoa(m.pid), "-m", "umount", point).Run() == nil
			})
			unmounted()
			d.waitStatus(t, "s", status.Away)
			unmounted()
		})
	}
}
