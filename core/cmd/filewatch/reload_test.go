package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// config is the file that a daemon runs with.
func (d *daemon) config() string { return d.cmd.Args[slices.Index(d.cmd.Args, "-config")+1] }

// configure replaces the configuration of a running daemon, as an editor does, and waits until the log says
// that it was read.
func (d *daemon) configure(from int, config, says string) int {
	d.t.Helper()
	at := d.config()
	if err := os.WriteFile(at+".new", []byte(config), 0o644); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(at+".new", at); err != nil {
		d.t.Fatal(err)
	}
	return d.wait(from, says, func(l line) bool { return strings.HasPrefix(l.Message, says) })
}

const (
	reloaded  = "configuration reloaded"
	unchanged = "configuration reloaded: no sync has changed"
	refused   = "the configuration is refused"
)

// Only what has changed is touched: the others go on, with a transfer that is under way and all they know.
func TestReloadTouchesOnlyWhatHasChanged(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	block := func(name, extra string) string {
		for _, dir := range []string{source, destination} {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		writeFile(t, filepath.Join(source, name, "first"), name)
		return localSync(name, filepath.Join(source, name), filepath.Join(destination, name), extra)
	}
	kept := block("kept", `transport "rsync" { bwlimit = "300" }`)
	d := startDaemon(t, kept+block("changed", "")+block("removed", ""))
	d.flushed(t)
	shell(t, filepath.Join(source, "kept"), "head -c 3000000 /dev/urandom > big")
	d.transferring(t, filepath.Join(destination, "kept"))
	plugins := []int{d.plugin("inotify"), d.plugin("rsync")}
	from := len(d.log())

	d.configure(from, block("added", "")+kept+block("changed", `exclude = ["*.tmp"]`), reloaded)
	if kept := d.report("kept")[0].Destinations[0]; kept.State != status.Sending {
		t.Errorf("the transfer under way has not gone on: %+v", kept)
	}
	var names []string
	for _, s := range d.report("") {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "added kept changed" {
		t.Errorf("status lists %s", got)
	}
	if exit, _, stderr := d.command("flush", "removed"); exit != 2 || !strings.Contains(stderr, "no sync") {
		t.Errorf("flush of a removed sync: %d %s", exit, stderr)
	}
	d.flushed(t)
	shell(t, source, "echo 2 > removed/second; echo 2 > changed/second; echo 2 > changed/x.tmp; echo 2 > added/second; echo 2 > kept/second")
	d.flushed(t)
	for _, name := range []string{"kept", "added"} {
		same(t, filepath.Join(source, name), filepath.Join(destination, name))
	}
	shell(t, destination, "test -f changed/second; test ! -e changed/x.tmp; test ! -e removed/second")
	for _, l := range d.log()[from:] {
		switch {
		case l.Sync == "kept" && (l.Message == "watching" || l.Message == "compared everything"):
			t.Errorf("the sync that is the same began anew: %s", l.Text)
		case l.Message == "the configuration has changed":
			for _, part := range []string{`"added":"added"`, `"changed":"changed"`, `"removed":"removed"`} {
				if !strings.Contains(l.Text, part) {
					t.Errorf("no %s in %s", part, l.Text)
				}
			}
		}
	}
	if now := []int{d.plugin("inotify"), d.plugin("rsync")}; now[0] != plugins[0] || now[1] != plugins[1] {
		t.Errorf("the plugins are others: %v, were %v", now, plugins)
	}

	t.Log("the removed one comes back: what it has missed is found")
	from = d.configure(len(d.log()), block("removed", "")+kept, reloaded)
	d.flushed(t)
	same(t, filepath.Join(source, "removed"), filepath.Join(destination, "removed"))

	t.Log("nothing is another one")
	d.signal(syscall.SIGHUP)
	d.wait(from, unchanged, func(l line) bool { return l.Message == unchanged })
	d.configure(len(d.log()), "# a comment\n"+block("removed", "")+kept, unchanged)
}

// A transfer under way ends before another block writes to the same place.
func TestReloadMovesADestination(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	other := source + "2"
	shell(t, "/", "cp -a '"+source+"' '"+other+"'")
	slow := localSync("one", source, destination, `transport "rsync" { bwlimit = "1000" }`)
	d := startDaemon(t, slow)
	d.flushed(t)
	shell(t, source, "head -c 2000000 /dev/urandom > big; cp big '"+other+"'/big")
	d.transferring(t, destination)
	from := len(d.log())
	d.configure(from, localSync("two", other, destination, ""), reloaded)
	sent := d.waitMessage(from, "one", "sent")
	if begun := d.waitMessage(from, "two", "watching"); begun < sent {
		t.Errorf("line %d: the second block has begun before the first one's transfer was over in line %d", begun, sent)
	}
	d.flushed(t)
	same(t, other, destination)
}

// What is wrong is refused as a whole, and what runs goes on.
func TestReloadRefuses(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	block := localSync("s", source, destination, "watcher \"inotify\" {}")
	d := startDaemon(t, block)
	d.flushed(t)
	changed := strings.Replace(block, "source =", "exclude = [\"*.x\"]\n source =", 1)
	for _, config := range []string{
		changed + `sync "broken" {`,
		changed + localSync("other", source, destination, ""),
		strings.Replace(changed, "\"inotify\" {}", "\"fanotify\" { nonsense = 1 }", 1),
		`state_dir = "/nonexistent/elsewhere"` + "\n" + changed,
		`state_dir = ["wrong"]` + "\n" + changed,
		`plugin "s3" { path = "/nonexistent" }` + strings.Replace(changed, "source =", "transport \"s3\" {}\n source =", 1),
		"",
	} {
		from := len(d.log())
		d.configure(from, config, refused)
		for _, l := range d.log()[from:] {
			if strings.HasPrefix(l.Message, reloaded) || strings.Contains(l.Text, "elsewhere") && strings.Contains(l.Text, "lock") {
				t.Errorf("%s:\n%s", config, l.Text)
			}
		}
		shell(t, source, "date +%N > changed; echo 1 > kept.x")
		tree.WaitEqual(t, source, destination, patience, tree.Options{})
	}
	d.wait(0, "that fanotify was asked", func(l line) bool { return strings.Contains(l.Text, `"plugin":"fanotify"`) })
	eventually(t, "the plugin that nobody needs has ended", func() bool { return d.plugin("fanotify") == 0 })
	d.configure(len(d.log()), changed, reloaded)
	shell(t, source, "echo 2 > later.x")
	d.flushed(t)
	shell(t, destination, "test ! -e later.x")
}

// SIGTERM while blocks end because of a reload ends all of them, and nothing begins any more.
func TestTerminatedWhileReloading(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	d := startDaemon(t, localSync("s", source, destination, `transport "rsync" { bwlimit = "100" }`))
	d.flushed(t)
	shell(t, source, "head -c 20000000 /dev/urandom > big")
	d.transferring(t, destination)
	from := len(d.log())
	d.configure(from, localSync("t", source, destination, ""), "the configuration has changed")
	if exit, _, stderr := d.command("flush", "s"); exit != 1 || !strings.Contains(stderr, "try again") {
		t.Errorf("flush of a sync that ends: %d %s", exit, stderr)
	}
	children := proc.Children(d.pid())
	d.stop(t, syscall.SIGTERM)
	for _, l := range d.log()[from:] {
		if l.Sync == "t" || l.Message == reloaded {
			t.Errorf("it said: %s", l.Text)
		}
	}
	if len(children) == 0 {
		t.Error("no children were seen")
	}
	startDaemon(t, localSync("s", source, destination, "")).flushed(t)
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
}

// Two signals, or a signal and an edit, while the first is being handled, lose nothing.
func TestReloadsInARow(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	d := startDaemon(t, localSync("s", source, destination, ""))
	d.flushed(t)
	at := d.config()
	for i := range 20 {
		writeFile(t, at, localSync("s"+itoa(i), source, destination, ""))
		d.signal(syscall.SIGHUP)
	}
	eventually(t, "the last one counts", func() bool { return d.report("")[0].Name == "s19" })
	d.flushed(t)
	same(t, source, destination)
}
