package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// many makes a source of 10 directories with 30 files each, and returns its destination in step with it.
func many(t *testing.T) (source, destination, config string, d *daemon) {
	t.Helper()
	source, destination = dirs(t)
	for i := range 10 {
		files(t, source, 29, fmt.Sprint("dir-", i)) // 30 entries
	}
	config = localSync("s", source, destination, "")
	d = startDaemon(t, config)
	d.flushed(t)
	same(t, source, destination)
	return source, destination, config, d
}

// Somebody removes six tenths of the tree. Up to half of it goes; the rest is held, and only that.
func TestDeletionOfMostOfATreeIsHeld(t *testing.T) {
	t.Parallel()
	source, destination, _, d := many(t)
	shell(t, source, "rm -rf dir-[0-5]; echo changed > first")
	hold := d.held(t, "s", guard.Deletions, "would be deleted")
	if len(hold.Sample) == 0 || !strings.Contains(strings.Join(hold.Commands, " "), "filewatch approve s") {
		t.Errorf("%+v", hold)
	}
	shell(t, source, "echo new > new; mkdir dir-7/sub; echo later > later; mv dir-8 dir-eight")
	eventually(t, "all but the deletions is there", func() bool {
		diff, err := tree.Diff(source, destination, tree.Options{IgnoreTimes: true})
		return err == nil && !strings.Contains(diff, "only in a") && !strings.Contains(diff, "size a")
	})
	// The limit is 150 of 301 entries. Gone are 180, and the former names of the 30 that were renamed.
	left := len(matching(t, destination+"/dir-[0-58]")) + len(matching(t, destination+"/dir-[0-58]/*"))
	if left < 60 {
		t.Errorf("more than half of the tree was deleted: of 210 entries %d are left", left)
	}

	exit, listed, stderr := d.command("verify", "s")
	if n := strings.Count(listed, "extra "); exit != 1 || n != left || n != strings.Count(listed, "\n") {
		t.Errorf("verify: exit status %d, %d entries, want %d: %s%s", exit, n, left, listed, stderr)
	}

	d.do("approve", "s")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.flushed(t)

	t.Log("once")
	shell(t, source, "rm -rf dir-6 dir-7 dir-eight dir-9; rm -f later new; echo other > other")
	d.held(t, "s", guard.Deletions, "would be deleted")
}

// The same while nobody looks: nothing of it goes.
func TestDeletionOfMostOfATreeWhileStoppedIsHeld(t *testing.T) {
	t.Parallel()
	source, destination, config, d := many(t)
	d.stop(t, syscall.SIGTERM)
	shell(t, source, "rm -rf dir-[0-5]; echo new > new")
	d = startDaemon(t, config)
	d.held(t, "s", guard.Deletions, "180 entries would be deleted")
	shell(t, destination, "test -f new; rm new")
	if left := len(matching(t, destination+"/dir-[0-5]/*")); left != 6*29 {
		t.Errorf("%d of %d files are left", left, 6*29)
	}
	t.Log("also after another restart, by SIGKILL")
	d.stop(t, syscall.SIGKILL)
	d = startDaemon(t, config)
	d.held(t, "s", guard.Deletions, "180 entries would be deleted")
	d.do("approve", "s")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.flushed(t)
}

func TestDeletionOfLessThanHalfGoesThrough(t *testing.T) {
	t.Parallel()
	source, destination, config, d := many(t)
	d.stop(t, syscall.SIGTERM)
	shell(t, source, "rm -rf dir-[0-3]")
	d = startDaemon(t, config)
	d.flushed(t)
	same(t, source, destination)
}
