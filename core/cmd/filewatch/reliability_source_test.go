package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// A source that is empty when nothing is known of it may be a disk that is not mounted.
func TestEmptySourceAtFirstStart(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	shell(t, source, "rm first")
	files(t, destination, 150, "data")
	before := snapshot(t, destination)
	d := startDaemon(t, localSync("s", source, destination, ""))
	d.held(t, "s", guard.Empty, source+" is empty and nothing is known of it")
	same(t, before, destination)

	// With a first file it may act, and what would go is more than it may delete unasked.
	shell(t, source, "echo new > new")
	hold := d.held(t, "s", guard.Deletions, "151 entries would be deleted")
	if len(hold.Sample) != 10 || len(hold.Commands) != 1 {
		t.Errorf("%+v", hold)
	}
	shell(t, destination, "test -f new; rm new; touch -r '"+before+"' .")
	same(t, before, destination)
	d.do("approve", "s")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.flushed(t)
}

// A directory that was made anew in the source's place is another one, seen or not, and so is a file.
func TestSourceReplaced(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	away := source + ".away"
	files(t, source, 5, "a", "b")
	before := snapshot(t, source)
	config := localSync("s", source, destination, "")
	d := startDaemon(t, config)
	untouched := func() {
		t.Helper()
		same(t, before, destination)
	}
	back := func() {
		t.Helper()
		shell(t, "/", "rm -rf '"+source+"'; mv '"+away+"' '"+source+"'")
	}
	d.flushed(t)
	untouched()

	t.Log("while it runs: gone, a file, an empty directory, another one")
	shell(t, "/", "mv '"+source+"' '"+away+"'")
	d.held(t, "s", guard.Missing, source+" does not exist", "13 entries")
	untouched()
	shell(t, "/", "echo x > '"+source+"'")
	d.held(t, "s", guard.NotDirectory, source+" is not a directory")
	untouched()
	shell(t, "/", "rm '"+source+"'; mkdir '"+source+"'")
	d.held(t, "s", guard.Replaced, "is not the directory it was", "it is empty")
	shell(t, source, "echo x > x")
	d.held(t, "s", guard.Replaced, "is not the directory it was")
	untouched()

	t.Log("the same across a restart")
	d.stop(t, syscall.SIGTERM)
	d = startDaemon(t, config)
	d.held(t, "s", guard.Replaced, "is not the directory it was")
	untouched()

	t.Log("and back")
	back()
	d.flushed(t)
	untouched()

	t.Log("made anew while it does not run")
	d.stop(t, syscall.SIGKILL)
	shell(t, "/", "mv '"+source+"' '"+away+"'; mkdir '"+source+"'; echo other > '"+source+"/other'")
	d = startDaemon(t, config)
	hold := d.held(t, "s", guard.Replaced, "is not the directory it was")
	untouched()

	t.Log("until somebody says that this is the source now")
	if len(hold.Commands) != 1 {
		t.Errorf("%+v", hold)
	}
	d.do("approve", "s")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.flushed(t)
}

// All that was in the source goes at once.
func TestSourceEmptiedWhileItRuns(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	files(t, source, 5, "a", "b")
	d := startDaemon(t, localSync("s", source, destination, ""))
	d.flushed(t)
	before := snapshot(t, destination)
	d.do("pause", "s") // so that it is seen at once, not file by file
	shell(t, source, "rm -rf a b first")
	d.do("resume", "s")
	d.held(t, "s", guard.Empty, "is empty and was not", "13 entries")
	same(t, before, destination)
	d.do("approve", "s")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.flushed(t)
	if s := d.status("s"); s.State != status.InSync {
		t.Errorf("%+v", s)
	}
	if _, err := os.Stat(filepath.Join(destination, "a")); err == nil {
		t.Error("a is still there")
	}
}
