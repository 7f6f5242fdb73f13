package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// inUserNamespace runs the daemon in a user namespace, which has limits of its own, after script has set
// them. The machine's stay as they are.
func inUserNamespace(t *testing.T, script string) func(*exec.Cmd) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to map all users into a namespace")
	}
	return func(cmd *exec.Cmd) {
		after(cmd, script)
		all := []syscall.SysProcIDMap{{Size: 65536}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: all, GidMappings: all, GidMappingsEnableSetgroups: true}
	}
}

// after runs the command when a script has.
func after(cmd *exec.Cmd, script string) {
	args := append([]string{"sh", "-euc", script + `; exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
	sh, err := exec.LookPath("sh")
	if err != nil {
		cmd.Err = err
		return
	}
	cmd.Path, cmd.Args = sh, args
}

// enter runs a script in namespaces of the daemon.
func (d *daemon) enter(namespaces, script string) {
	d.t.Helper()
	cmd := exec.Command("nsenter", "-t", itoa(d.pid()), namespaces, "sh", "-euc", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// waitText waits for a line that holds all the parts.
func (d *daemon) waitText(from int, parts ...string) int {
	d.t.Helper()
	return d.wait(from, fmt.Sprintf("%q", parts), func(l line) bool {
		for _, p := range parts {
			if !strings.Contains(l.Text, p) {
				return false
			}
		}
		return true
	})
}

// manyDirs makes n directories, with a file in each.
func manyDirs(t *testing.T, source string, n int) {
	t.Helper()
	for i := range n {
		dir := filepath.Join(source, fmt.Sprint("d", i), "deep")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		touch(t, dir, "first")
	}
}

func touch(t *testing.T, dir, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWatchLimit(t *testing.T) {
	t.Parallel() // it waits for the watcher to try again, after half a minute
	source, destination := dirs(t)
	manyDirs(t, source, 30)
	d := startDaemon(t, localSync("s", source, destination, ""),
		inUserNamespace(t, "echo 20 > /proc/sys/user/max_inotify_watches"))
	d.waitText(0, "polled", "user.max_inotify_watches = 20", "more directories need one", "sysctl -w user.max_inotify_watches=")
	at := d.waitMessage(0, "s", "in sync")
	for round := range 3 {
		for i := range 30 {
			touch(t, filepath.Join(source, fmt.Sprint("d", i), "deep"), fmt.Sprint("round ", round, " of ", i))
		}
		shell(t, source, fmt.Sprintf("mkdir -p new%d/a/b; echo x > new%d/a/b/c; rm -r d%d; mv d%d moved%d", round, round, 2*round, 2*round+1, round))
		shell(t, source, fmt.Sprintf("mkdir -p d%d/deep d%d/deep", 2*round, 2*round+1))
		tree.WaitEqual(t, source, destination, patience, tree.Options{})
		at = d.waitMessage(at, "s", "in sync")
	}
	d.enter("-U", "echo 10000 > /proc/sys/user/max_inotify_watches")
	at = d.waitMessage(at, "s", "everything is watched again")
	touch(t, filepath.Join(source, "d29", "deep"), "after the limit was raised")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.waitMessage(at, "s", "in sync")
}

func TestInstanceLimit(t *testing.T) {
	t.Parallel() // it waits for the watcher to try again, after half a minute
	source, destination := dirs(t)
	manyDirs(t, source, 5)
	d := startDaemon(t, localSync("s", source, destination, ""),
		inUserNamespace(t, "echo 0 > /proc/sys/user/max_inotify_instances"))
	d.waitText(0, "not watched: polled until it is", "user.max_inotify_instances = 0", "sysctl -w user.max_inotify_instances=")
	at := d.waitMessage(0, "s", "in sync")
	touch(t, filepath.Join(source, "d1", "deep"), "while nothing can be watched")
	shell(t, source, "rm -r d2; mv d3 moved")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	at = d.waitMessage(at, "s", "in sync")
	d.enter("-U", "echo 100 > /proc/sys/user/max_inotify_instances")
	at = d.waitMessage(at, "s", "watching")
	touch(t, filepath.Join(source, "d1", "deep"), "watched")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.waitMessage(at, "s", "in sync")
}

// limitDescriptors leaves a plugin few file descriptors, and returns what lifts that.
func (d *daemon) limitDescriptors(plugin string) (lift func()) {
	d.t.Helper()
	pid := d.plugin(plugin)
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		d.t.Fatal(err)
	}
	set := func(n uint64) {
		d.t.Helper()
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: before.Max}, nil); err != nil {
			d.t.Fatal(err)
		}
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		d.t.Fatal(err)
	}
	set(uint64(len(open) + 10))
	return func() { set(before.Cur) }
}

// With few file descriptors left the watcher cannot open what is deep in a tree.
func TestDescriptorLimit(t *testing.T) {
	t.Parallel() // it waits for the watcher to try again, after half a minute
	source, destination := dirs(t)
	d := startDaemon(t, localSync("s", source, destination, `watcher "inotify" {}`))
	at := d.waitMessage(0, "s", "in sync")
	lift := d.limitDescriptors("inotify")
	deep := filepath.Join(source, strings.Repeat("d/", 100))
	shell(t, source, "mkdir -p "+deep+"; echo first > "+deep+"/file")
	at = d.waitText(at, "partly not watched", "too many open files")
	at = d.waitMessage(at, "s", "in sync")
	touch(t, deep, "beyond the limit")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	at = d.waitMessage(at, "s", "in sync")
	lift()
	at = d.waitMessage(at, "s", "everything is watched again")
	touch(t, deep, "within the limit")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.waitMessage(at, "s", "in sync")
}

// TestFanotifyTakesOver: what inotify cannot watch any more fanotify can, where it is to be had.
func TestFanotifyTakesOver(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("fanotify needs root")
	}
	source, destination := dirs(t)
	d := startDaemon(t, localSync("s", source, destination, ""))
	at := d.waitMessage(0, "s", "in sync")
	d.limitDescriptors("inotify")
	deep := filepath.Join(source, strings.Repeat("d/", 100))
	shell(t, source, "mkdir -p "+deep+"; echo first > "+deep+"/file")
	at = d.waitText(at, "watcher chosen", `"fanotify"`, "too many open files")
	for _, content := range []string{"one", "another"} {
		touch(t, deep, content)
		tree.WaitEqual(t, source, destination, patience, tree.Options{})
		at = d.waitMessage(at, "s", "in sync")
	}
}

// TestQueueOverflow: the kernel's queue holds 16,384 events. What is beyond is found by one comparison, and
// nothing is restarted.
func TestQueueOverflow(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	d := startDaemon(t, localSync("s", source, destination, ""))
	at := d.waitMessage(0, "s", "in sync")
	plugin := d.plugin("inotify")
	if err := proc.Kill(plugin, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for i := range 20000 {
		if err := os.WriteFile(filepath.Join(source, fmt.Sprint(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := proc.Kill(plugin, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.waitMessage(at, "s", "in sync")
	compared := 0
	for _, l := range d.log()[at:] {
		switch l.Message {
		case "watching", "plugin is running":
			t.Errorf("restarted: %s", l.Text)
		case "compared everything":
			compared++
		}
	}
	if compared != 1 {
		t.Errorf("compared everything %d times", compared)
	}
	if now := d.plugin("inotify"); now != plugin {
		t.Errorf("the plugin was process %d, is %d", plugin, now)
	}
}
