package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// TestKillsUnderLoad kills the daemon, plugins, rsync and ssh on either side at random, while files are
// written all the time. Whoever reads a file at the destination finds a complete version.
func TestKillsUnderLoad(t *testing.T) {
	t.Parallel()
	for seed := range tree.Seeds(t, 1) {
		for _, far := range []bool{true, false} {
			t.Run(fmt.Sprintf("seed %d, over ssh %v", seed, far), func(t *testing.T) {
				t.Parallel()
				killsUnderLoad(t, uint64(seed), far)
			})
		}
	}
}

func killsUnderLoad(t *testing.T, seed uint64, far bool) {
	source, destination := dirs(t)
	// Slow, so that most are killed in the middle of a file.
	slow := "transport \"rsync\" { bwlimit = \"5000\" }"
	config := localSync("s", source, destination, churns+slow)
	sessions := func() []int { return nil }
	if far {
		server := sshd.Start(t, sshd.Config{})
		config = strings.Replace(sshSync("s", source, destination, server, churns), "ssh {", "bwlimit = \"5000\"\n    ssh {", 1)
		sessions = server.Sessions
	}
	v := newVersions(t, seed, source, 6)
	random := rand.New(rand.NewPCG(seed, 1))
	d := startDaemon(t, config)
	d.flushed(t)
	stop := v.watch(destination)
	plugin := func(pid int) bool { return strings.Contains(proc.Cmdline(pid), " plugin ") }
	for round := range 10 {
		var victims func() []int
		switch round % 5 {
		case 0:
			victims = func() []int {
				return slices.DeleteFunc(proc.Children(d.pid()), func(pid int) bool { return !plugin(pid) })
			}
		case 1, 3: // rsync and ssh
			victims = func() []int { return slices.DeleteFunc(proc.Children(d.pid()), plugin) }
		case 2:
			victims = func() []int { return append(slices.DeleteFunc(proc.Children(d.pid()), plugin), sessions()...) }
			if far {
				victims = sessions
			}
		case 4:
			victims = func() []int { return []int{d.pid()} }
		}
		var found []int
		eventually(t, "there is something to kill", func() bool {
			v.write()
			found = victims()
			return len(found) > 0
		})
		victim := found[random.IntN(len(found))]
		t.Logf("killing %d: %.200s", victim, proc.Cmdline(victim))
		if victim == d.pid() {
			d.stop(t, syscall.SIGKILL)
			v.write()
			d = startDaemon(t, config)
			d.report("s") // it is up
		} else if err := proc.Kill(victim, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if round%3 == 2 {
			d.do("resume", "s") // rather than wait for the next try
			v.arrives(destination)
		}
	}
	tree.WaitEqual(t, source, destination, patience, tree.Options{Ignore: leftover, IgnoreTimes: true})
	d.flushed(t)
	// A comparison takes away what killed rsyncs have left.
	d.do("resync", "s")
	d.flushed(t)
	stop()
	same(t, source, destination)
	d.stop(t, syscall.SIGTERM)
	for _, pid := range proc.WithArg(source) {
		t.Errorf("left behind: %s", proc.Cmdline(pid))
	}
	proc.WaitGone(t, sessions(), patience)
}

// leftover reports whether path is that of a file that rsync had not finished: .NAME.XXXXXX.
func leftover(path string) bool {
	name := path[strings.LastIndexByte(path, '/')+1:]
	return strings.HasPrefix(name, ".file-") && strings.Count(name, ".") == 2
}
