package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// churns is for trees in which nothing lasts.
const churns = "max_delete = \"100%\"\n"

func TestChurnEndsEqual(t *testing.T) {
	t.Parallel()
	server := sshd.Start(t, sshd.Config{})
	for seed := range tree.Seeds(t, 6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			source, destination := dirs(t)
			churn := tree.NewChurn(uint64(seed), source, tree.ChurnOptions{})
			churn.LogOnFailure(t)
			churn.Run(100)
			startDaemon(t, sshSync("churn", source, destination, server, churns))
			// From before the first full sync until long after it, at full speed.
			churn.Run(1500)
			tree.WaitEqual(t, source, destination, patience, tree.Options{})
		})
	}
}

func TestChurnWithExcludesEndsEqual(t *testing.T) {
	t.Parallel()
	for seed := range tree.Seeds(t, 3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			source, destination := dirs(t)
			churn := tree.NewChurn(uint64(seed), source, tree.ChurnOptions{Exclude: "cache"})
			churn.LogOnFailure(t)
			shell(t, destination, "mkdir cache; echo kept > cache/kept")
			startDaemon(t, localSync("churn", source, destination, churns+`exclude = ["cache/"]`))
			churn.Run(1500)
			excluded := func(path string) bool {
				return strings.HasPrefix(path, "cache/") || strings.Contains(path+"/", "/cache/") || path == "cache"
			}
			tree.WaitEqual(t, source, destination, patience, tree.Options{Ignore: excluded})
			shell(t, destination, "test -f cache/kept")
		})
	}
}

func TestChurnWithEachWatcherEndsEqual(t *testing.T) {
	t.Parallel()
	for name, block := range map[string]string{
		"poll":     `watcher "poll" { interval = "100ms" }`,
		"fanotify": `watcher "fanotify" {}`,
	} {
		for seed := range tree.Seeds(t, 1) {
			t.Run(fmt.Sprint(name, ", seed ", seed), func(t *testing.T) {
				if name == "fanotify" && os.Getuid() != 0 {
					t.Skip("fanotify needs root")
				}
				source, destination := dirs(t)
				churn := tree.NewChurn(uint64(seed), source, tree.ChurnOptions{})
				churn.LogOnFailure(t)
				startDaemon(t, localSync("churn", source, destination, churns+block))
				churn.Run(1500)
				tree.WaitEqual(t, source, destination, patience, tree.Options{})
			})
		}
	}
}

// TestKillsDuringChurn kills one process after the other, at random, while files change.
func TestKillsDuringChurn(t *testing.T) {
	t.Parallel()
	server := sshd.Start(t, sshd.Config{})
	for seed := range tree.Seeds(t, 2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			source, destination := dirs(t)
			churn := tree.NewChurn(uint64(seed), source, tree.ChurnOptions{})
			churn.LogOnFailure(t)
			d := startDaemon(t, sshSync("kills", source, destination, server, churns))
			d.waitMessage(0, "kills", "in sync")
			random := rand.New(rand.NewPCG(uint64(seed), 0))
			for range 15 {
				churn.Run(60)
				victims := proc.Children(d.pid())
				if len(victims) == 0 {
					continue // all plugins are just being started
				}
				victim := victims[random.IntN(len(victims))]
				t.Logf("killing %d: %s", victim, proc.Cmdline(victim))
				if err := proc.Kill(victim, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			server.KillSessions()
			churn.Run(60)
			tree.WaitEqual(t, source, destination, 2*patience, tree.Options{})
			d.waitMessage(len(d.log())-1, "kills", "in sync")
		})
	}
}

func TestPluginsComeBack(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	d := startDaemon(t, localSync("s", source, destination, ""))
	at := d.waitMessage(0, "s", "in sync")
	for _, name := range []string{"inotify", "rsync"} {
		old := d.plugin(name)
		if old == 0 {
			t.Fatalf("there is no process of plugin %s", name)
		}
		if err := proc.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+" is back", func() bool { now := d.plugin(name); return now != 0 && now != old })
		shell(t, source, "echo "+name+" >> file")
		at = d.waitMessage(at, "s", "in sync")
		tree.WaitEqual(t, source, destination, patience, tree.Options{})
	}
}

// What a healthy watcher reports leaves nothing for a rescan to find: see startDaemon.
func TestRescansFindNothingMissed(t *testing.T) {
	t.Parallel()
	for name, block := range map[string]string{
		"inotify":  `watcher "inotify" {}`,
		"poll":     `watcher "poll" { interval = "100ms" }`,
		"fanotify": `watcher "fanotify" {}`,
	} {
		t.Run(name, func(t *testing.T) {
			if name == "fanotify" && os.Getuid() != 0 {
				t.Skip("fanotify needs root")
			}
			source, destination := dirs(t)
			churn := tree.NewChurn(1, source, tree.ChurnOptions{})
			churn.LogOnFailure(t)
			d := startDaemon(t, localSync("churn", source, destination, block+"\nrescan = \"500ms\"\n"+churns))
			d.waitMessage(0, "churn", "in sync")
			churn.Run(1500)
			tree.WaitEqual(t, source, destination, patience, tree.Options{})
			at := d.waitMessage(len(d.log()), "churn", "compared everything")
			at = d.waitMessage(at, "churn", "compared everything")
			d.waitMessage(at, "churn", "in sync")
		})
	}
}
