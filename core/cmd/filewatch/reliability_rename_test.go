package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// Renames inside the source send no content, from the watcher to the far end.
func TestRenames(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	const size = 32 << 20
	shell(t, source, fmt.Sprintf("mkdir -p big/sub other live; head -c %d /dev/urandom > big/sub/a; head -c %d /dev/urandom > live/b; head -c 4000000 /dev/urandom > log", size/2, size/2))
	config, p := overProxy(t, source, destination, "", "")
	d := startDaemon(t, config)
	d.flushed(t)
	for _, what := range []string{
		"mv big moved",
		"mv moved other/moved",
		"mv other/moved x && mv x y && mv y big",
		"mv live old && mv big live",
		"mv live/sub sub && mv old live",
		"mv log log.1 && echo new > log",
		"mv log.1 log.2 && mv log log.1 && echo new > log",
		"mkdir a && mv live a/b",
		"mkdir -p c/x/y && mv a/b c/x/y/ && rmdir a",
		"mkdir d && echo new > d/f && mv c/x/y/b sub d && rm -r c",
	} {
		before := p.Passed()
		// Together, however slow the machine is: what is under way when the next rename comes is sent.
		d.do("pause", "s")
		shell(t, source, what)
		d.do("resume", "s")
		d.do("flush", "-timeout", "1m")
		same(t, source, destination)
		if n := p.Passed() - before; n > size/100 {
			t.Errorf("%s: %d bytes on the wire, at most 1%% of %d may be", what, n, size)
		}
	}
}

// The same for what is moved into a directory that was made a moment before, and may be on its way already: what is
// found in it waits for what the watcher says about it, here for as long as that takes on any machine.
func TestRenamesIntoNewDirectories(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	const size = 16 << 20
	shell(t, source, fmt.Sprintf("mkdir -p big/sub; head -c %d /dev/urandom > big/sub/a", size))
	config, p := overProxy(t, source, destination, "", "")
	d := startDaemon(t, strings.Replace(config, "{", "{\n  settle = \"3s\"\n  max_delay = \"1m\"", 1))
	d.flushed(t)
	had, err := os.Stat(filepath.Join(destination, "big/sub/a"))
	if err != nil {
		t.Fatal(err)
	}
	at := "big"
	for _, do := range []struct{ what, to string }{
		{"mkdir a; mv big a/b", "a/b"},
		{"mkdir -p c/x/y; mv a/b c/x/y/", "c/x/y/b"},
		{"mkdir d; echo new > d/f; mv c/x/y/b d; rm -r a c", "d/b"},
	} {
		before := p.Passed()
		shell(t, source, do.what)
		eventually(t, do.what+" is at the destination", func() bool {
			diff, err := tree.Diff(source, destination, tree.Options{})
			return err == nil && diff == ""
		})
		d.waitStatus(t, "s", status.InSync) // what is under way when the next rename comes is sent
		if n := p.Passed() - before; n > size/100 {
			t.Errorf("%s: %d bytes on the wire, at most 1%% of %d may be", do.what, n, size)
		}
		has, err := os.Stat(filepath.Join(destination, do.to, "sub/a"))
		if err != nil || !os.SameFile(had, has) {
			t.Errorf("%s: %s is not what was %s: %v", do.what, do.to, at, err)
		}
		at = do.to
	}
}
