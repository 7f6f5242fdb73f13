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
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
)

// brokenRsync stands in rsync's place. Its first line says how it ends: "heal" is as it should, "exit 23"
// or "kill -9 $$" ends it so before it does anything, and with "half " before that after half of its work. What stands
// after "then " is done after all of the work on a list.
const brokenRsync = `#!/bin/sh
how=$(cat %[1]q)
[ "$how" != heal ] || exec %[2]q "$@"
end=${how#half }
list=; dry=
for a; do
	case $a in --files-from=-) list=$(mktemp) ;; --dry-run | -n) dry=1 ;; esac
done
if [ "$list" ]; then
	cat >"$list"
	n=$(tr -cd '\0' <"$list" | wc -c)
fi
if [ "$how" != "$end" ] && [ ! "$dry" ]; then
	if [ "$list" ]; then
		head -z -n $((n / 2)) "$list" | %[2]q "$@"
	else
		%[2]q --exclude='*5' "$@"
	fi
fi
if [ "$how" != "${how#then }" ]; then
	if [ "$list" ]; then
		%[2]q "$@" <"$list"
	else
		exec %[2]q "$@"
	fi
	set -- $?
	end="${how#then }; exit $1"
fi
rm -f "$list"
echo "$how" >>%[3]q
eval "$end"
`

// rsyncs is a wrapper in rsync's place.
type rsyncs struct {
	t                *testing.T
	dir, mode, ended string
}

func wrapRsync(t *testing.T) *rsyncs {
	t.Helper()
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := &rsyncs{t, dir, filepath.Join(dir, "mode"), filepath.Join(dir, "ended")}
	writeFile(t, filepath.Join(dir, "rsync"), fmt.Sprintf(brokenRsync, r.mode, rsync, r.ended))
	if err := os.Chmod(filepath.Join(dir, "rsync"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.set("heal")
	return r
}

// find has the daemon find it.
func (r *rsyncs) find(cmd *exec.Cmd) {
	cmd.Env = append(cmd.Env, "PATH="+r.dir+":"+os.Getenv("PATH"))
}

// set says how runs end from now on. The file is never half written.
func (r *rsyncs) set(how string) {
	r.t.Helper()
	writeFile(r.t, r.mode+".new", how+"\n")
	if err := os.Rename(r.mode+".new", r.mode); err != nil {
		r.t.Fatal(err)
	}
}

// ends returns how many runs have ended in a way.
func (r *rsyncs) ends(how string) int {
	text, err := os.ReadFile(r.ended)
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	return strings.Count("\n"+string(text), "\n"+how+"\n")
}

// However rsync ends, as long as it fails nobody says that all is in step, and the daemon lives. When it
// works again, all is made up for.
func TestFailingRsync(t *testing.T) {
	t.Parallel()
	var exits []string
	for _, code := range []int{1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 25, 30, 35, 124, 126, 127, 255} {
		exits = append(exits, fmt.Sprint("exit ", code))
	}
	for name, ends := range map[string][]string{
		"before its work":  append(exits, "kill -KILL $$", "kill -SEGV $$"),
		"after half of it": {"half exit 1", "half exit 11", "half exit 12", "half exit 20", "half exit 23", "half exit 24", "half exit 25", "half exit 30", "half exit 255", "half kill -KILL $$", "half kill -SEGV $$"},
	} {
		t.Run(name, func(t *testing.T) {
			r := wrapRsync(t)
			source, destination := dirs(t)
			files(t, source, 10, "kept", "removed")
			d := startDaemon(t, localSync("s", source, destination, ""), r.find)
			from := d.saidInSync(t)
			r.set(ends[0])
			killWaiting(d)
			shell(t, source, "rm -r removed")
			for i, how := range ends {
				r.set(how)
				files(t, source, 10, fmt.Sprint("new-", i))
				d.do("resync", "s") // rather than wait for the next try
				eventually(t, "rsync has ended with "+how, func() bool { return r.ends(how) > 0 })
				if s := d.status("s"); s.State == status.InSync || s.Pending == 0 {
					t.Errorf("%s: the status is %s, %d pending", how, s.State, s.Pending)
				}
				if exit, _, stderr := d.command("flush", "-timeout", "1s"); exit != 1 {
					t.Errorf("%s: flush ended with %d: %s", how, exit, stderr)
				}
			}
			d.notInSync(t, from)
			r.set("heal")
			d.do("resync", "s")
			d.flushed(t)
			same(t, source, destination)
			d.waitMessage(from, "s", "in sync")
			if s := d.status("s"); s.State != status.InSync {
				t.Errorf("the status is %s in the end", s.State)
			}
		})
	}
}

// What a watcher that looks now and then sees gone, what is there again for rsync, which has nothing to do, and is gone
// when the watcher looks next, is seen by nobody but rsync.
func TestThereForRsyncAlone(t *testing.T) {
	t.Parallel()
	r := wrapRsync(t)
	source, destination := dirs(t)
	out := t.TempDir()
	shell(t, source, "mkdir d; echo 1 >f; echo 2 >d/f; ln -s f link")
	d := startDaemon(t, localSync("s", source, destination, `watcher "poll" { interval = "1h" }`), r.find)
	d.flushed(t)
	d.do("pause", "s")
	shell(t, source, "mv f d link '"+out+"'")
	d.command("flush", "-timeout", "1s") // has the watcher look
	eventually(t, "it is seen gone", func() bool { return d.status("s").Pending > 0 })
	shell(t, out, "mv f d link '"+source+"'")
	away := "then [ ! -e '" + source + "/f' ] || { cd '" + source + "'; mv f d link '" + out + "'; }"
	r.set(away)
	killWaiting(d)
	d.do("resume", "s")
	eventually(t, "rsync has seen it", func() bool { return r.ends(away) > 0 })
	d.flushed(t)
	same(t, source, destination)
	shell(t, destination, "test ! -e f; test ! -e d; test ! -h link")
}

// killWaiting kills the rsync that waits for its list, which began as rsync ended then.
func killWaiting(d *daemon) {
	for _, pid := range proc.Children(d.pid()) {
		if !strings.Contains(proc.Cmdline(pid), " plugin ") {
			_ = proc.Kill(pid, syscall.SIGKILL)
		}
	}
}
