package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/core/internal/guard"
)

// stateDir is where a test's daemons keep their state.
func stateDir(t *testing.T) string {
	t.Helper()
	for _, entry := range ownDirs(t) {
		if dir, ok := strings.CutPrefix(entry, "STATE_DIRECTORY="); ok {
			return dir
		}
	}
	t.Fatal("there is no state directory")
	return ""
}

// A state file that cannot be used, or is gone, means that nothing is known: never that everything was
// deleted, and never that an empty source is right.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, damage, tells string }{
		{"missing", "rm missing.json", ""},
		{"truncated", "truncate -s 100 truncated.json", "cannot be used"},
		{"nothing", "truncate -s 0 nothing.json", "cannot be used"},
		{"bits", `sed -i 's/"entries":122/"entries":123/' bits.json`, "cannot be used"},
		{"alien", "echo '{}' > alien.json", "cannot be used"},
		{"newer", `sed -i 's/"version":1/"version":1000/' newer.json`, "newer filewatch"},
		{"directory", "rm directory.json; mkdir directory.json", "cannot be used"},
	}
	config := ""
	sources, destinations, before := map[string]string{}, map[string]string{}, map[string]string{}
	for _, test := range tests {
		source, destination := dirs(t)
		files(t, source, 120, "dir")
		config += localSync(test.name, source, destination, "")
		sources[test.name], destinations[test.name] = source, destination
	}
	d := startDaemon(t, config)
	d.flushed(t)
	d.stop(t, syscall.SIGTERM)
	for _, test := range tests {
		source := sources[test.name]
		before[test.name] = snapshot(t, destinations[test.name])
		shell(t, stateDir(t), "cp "+test.name+".json copy; "+test.damage+"; ! cmp -s "+test.name+".json copy")
		shell(t, "/", "mv '"+source+"' '"+source+".away'; mkdir '"+source+"'")
	}

	d = startDaemon(t, config)
	for _, test := range tests {
		if test.tells != "" {
			d.wait(0, "what is wrong with the state of "+test.name, func(l line) bool {
				return l.Sync == test.name && l.Message == "nothing is remembered" && strings.Contains(l.Err, test.tells)
			})
		}
	}
	d.held(t, "", guard.Empty, "nothing is known of it")
	for _, test := range tests {
		same(t, before[test.name], destinations[test.name])
		shell(t, sources[test.name], "echo new > new")
	}
	// Nor may it delete as much as if it knew how much there was.
	d.held(t, "", guard.Deletions, "122 entries would be deleted")
	for _, test := range tests {
		source := sources[test.name]
		shell(t, "/", "rm -rf '"+source+"'; mv '"+source+".away' '"+source+"'")
	}
	d.held(t, "", guard.Replaced, "is not the directory it was")
	for _, test := range tests {
		d.do("approve", test.name)
	}
	d.flushed(t)
	for _, test := range tests {
		same(t, sources[test.name], destinations[test.name])
		if len(matching(t, filepath.Join(stateDir(t), test.name+".json"))) == 0 {
			t.Errorf("%s: nothing is kept", test.name)
		}
	}
}

// A state directory that cannot be written to stops nothing, and is told.
func TestStateDirFullOrReadOnly(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, mount, mend string }{
		{"full", "mount -t tmpfs -o size=64k none DIR; head -c 1M /dev/zero > DIR/full || :", "rm DIR/full"},
		{"read-only", "mount -t tmpfs -o ro none DIR", "mount -o remount,rw DIR"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMounts(t)
			source, destination := dirs(t)
			state := stateDir(t)
			if err := os.MkdirAll(state, 0o700); err != nil {
				t.Fatal(err)
			}
			m.run(strings.ReplaceAll(test.mount, "DIR", state))
			d := startDaemon(t, localSync("s", source, destination, ""), m.enter)
			d.wait(0, "that nothing can be kept", func(l line) bool { return l.Level == "error" && strings.Contains(l.Message, "the state ") })
			d.flushed(t)
			same(t, source, destination)
			// What it knows it still minds.
			shell(t, "/", "mv '"+source+"' '"+source+".away'; mkdir '"+source+"'")
			d.held(t, "s", guard.Replaced, "it is empty")
			shell(t, destination, "test -f first")
			m.run(strings.ReplaceAll(test.mend, "DIR", state))
			shell(t, "/", "rmdir '"+source+"'; mv '"+source+".away' '"+source+"'; echo x > '"+source+"/x'")
			d.flushed(t)
			d.stop(t, syscall.SIGTERM)
			if len(matching(t, m.path(filepath.Join(state, "s.json")))) == 0 {
				t.Error("it was not kept when that worked again")
			}
		})
	}
}

// Of two daemons with one state directory the second refuses to run and names the first, which goes on.
func TestTwoDaemons(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	d := startDaemon(t, localSync("s", source, destination, ""))
	d.flushed(t)
	second := exec.Command("filewatch", d.cmd.Args[1:]...)
	second.Env = d.cmd.Env
	out, err := second.CombinedOutput()
	if err == nil || second.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), fmt.Sprintf("process id %d", d.pid())) {
		t.Errorf("the second one: %v\n%s", err, out)
	}
	shell(t, source, "echo x > x")
	d.flushed(t)
	same(t, source, destination)

	// SIGKILL leaves no lock behind.
	d.stop(t, syscall.SIGKILL)
	d = startDaemon(t, localSync("s", source, destination, ""))
	shell(t, source, "echo y > y")
	d.flushed(t)
	same(t, source, destination)
}
