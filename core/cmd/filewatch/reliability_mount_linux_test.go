package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// mounts is a mount namespace that outlives the daemons in it, and is unseen by the rest of the machine.
type mounts struct {
	t   *testing.T
	pid int
}

// newMounts makes a namespace until the end of the test.
func newMounts(t *testing.T) *mounts {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	cmd := exec.Command("sh", "-euc", "mount --make-rprivate /; echo; read end || :")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the mount namespace: %v", err)
		}
	})
	if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
		t.Fatalf("no mount namespace: %v", err)
	}
	return &mounts{t, cmd.Process.Pid}
}

// run runs commands there.
func (m *mounts) run(script string) {
	m.t.Helper()
	if out, err := exec.Command("nsenter", "-t", itoa(m.pid), "-m", "sh", "-euc", script).CombinedOutput(); err != nil {
		m.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// path is where a path of the namespace is for us.
func (m *mounts) path(path string) string { return filepath.Join("/proc", itoa(m.pid), "root", path) }

// enter runs the daemon there.
func (m *mounts) enter(cmd *exec.Cmd) {
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		cmd.Err = err
		return
	}
	cmd.Args = append([]string{"nsenter", "-t", itoa(m.pid), "-m", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = nsenter
}

// The disk of a source is unmounted under a running daemon, and comes back.
func TestUnmountedSource(t *testing.T) {
	t.Parallel()
	m := newMounts(t)
	source, destination := dirs(t)
	disk := source + ".disk"
	shell(t, source, "rm first; mkdir '"+disk+"'")
	// The file system itself stays, so that it is the same when it is mounted again.
	m.run("mount -t tmpfs disk '" + disk + "'; mkdir '" + disk + "/dir'; echo 1 > '" + disk + "/dir/file'")
	mount := func() { t.Helper(); m.run("mount --bind '" + disk + "' '" + source + "'") }
	mount()
	config := localSync("s", source, destination, "")
	d := startDaemon(t, config, m.enter)
	d.flushed(t)
	same(t, m.path(source), destination)
	before := snapshot(t, destination)
	held := func() {
		t.Helper()
		hold := d.held(t, "s", guard.Unmounted, "nothing is mounted on "+source)
		if !strings.Contains(strings.Join(hold.Commands, " "), "mount "+source) {
			t.Errorf("it does not tell how to go on: %q", hold.Commands)
		}
		same(t, before, destination)
	}

	t.Log("unmounted while it runs")
	m.run("umount '" + source + "'")
	held()
	if exit, _, _ := d.command("verify", "s", "-repair"); exit == 0 {
		t.Error("an unmounted source was verified")
	}
	d.do("resync", "s")
	held()

	t.Log("reloaded: the same, then changed, renamed, removed and there again")
	d.signal(syscall.SIGHUP)
	d.wait(0, unchanged, func(l line) bool { return l.Message == unchanged })
	held()
	changed := localSync("s", source, destination, `exclude = ["*.tmp"]`)
	d.configure(len(d.log()), changed, reloaded)
	held()
	elsewhere, _ := dirs(t)
	other := localSync("other", elsewhere, elsewhere+".copy", "")
	d.configure(len(d.log()), other, reloaded)
	same(t, before, destination)
	d.configure(len(d.log()), config, reloaded)
	held()

	t.Log("restarted meanwhile")
	d.stop(t, syscall.SIGTERM)
	d = startDaemon(t, config, m.enter)
	held()

	t.Log("somebody makes files in the mount point")
	writeFile(t, filepath.Join(source, "stray"), "not on the disk")
	d.do("resync", "s")
	held()
	d.stop(t, syscall.SIGKILL)
	d = startDaemon(t, config, m.enter)
	held()

	t.Log("and back, with news")
	m.run("echo 2 > '" + disk + "/dir/new'; rm '" + disk + "/dir/file'")
	mount()
	tree.WaitEqual(t, m.path(source), destination, patience, tree.Options{})
	d.flushed(t)
	m.run("echo 3 > '" + source + "/later'")
	d.flushed(t)
	same(t, m.path(source), destination)
}

// Another file system in the source's place is not the source, be it empty or not, until somebody says so.
func TestAnotherDiskOnTheSource(t *testing.T) {
	t.Parallel()
	m := newMounts(t)
	source, destination := dirs(t)
	config := localSync("s", source, destination, "")
	d := startDaemon(t, config, m.enter)
	d.flushed(t)
	before := snapshot(t, destination)
	m.run("mount -t tmpfs other '" + source + "'")
	d.held(t, "s", guard.Replaced, "it is empty")
	m.run("echo x > '" + source + "/x'")
	d.do("resync", "s")
	d.held(t, "s", guard.Replaced, "is not the directory it was")
	same(t, before, destination)
	d.stop(t, syscall.SIGTERM)
	d = startDaemon(t, config, m.enter)
	d.held(t, "s", guard.Replaced, "is not the directory it was")
	same(t, before, destination)
	m.run("umount '" + source + "'")
	d.flushed(t)
	same(t, before, destination)
}

// A disk below the source that is not there when filewatch is started was not emptied.
func TestUnmountedBelowTheSourceMeanwhile(t *testing.T) {
	t.Parallel()
	m := newMounts(t)
	source, destination := dirs(t)
	disk, point := source+".disk", source+"/sub"
	shell(t, source, "mkdir sub '"+disk+"'; echo 1 > '"+disk+"/kept'")
	m.run("mount --bind '" + disk + "' '" + point + "'")
	config := localSync("s", source, destination, "")
	d := startDaemon(t, config, m.enter)
	d.flushed(t)
	before := snapshot(t, destination)
	d.stop(t, syscall.SIGTERM)
	m.run("umount '" + point + "'")
	d = startDaemon(t, config, m.enter)
	d.waitMessage(0, "s", "compared everything")
	d.wait(0, "a hold of sub/", func(l line) bool { return strings.Contains(l.Text, "is no longer mounted there") })
	same(t, before, destination)
	shell(t, source, "echo 2 > beside")
	eventually(t, "what is beside it arrives", func() bool { return len(matching(t, destination+"/beside")) > 0 })
	shell(t, destination, "test -f sub/kept")
	m.run("mount --bind '" + disk + "' '" + point + "'")
	d.flushed(t)
	same(t, m.path(source), destination)
}

// A mount below the source that hides something, made while filewatch was not running: what it hides was not
// deleted. Whoever has seen that may say that it was.
func TestMountedBelowTheSourceMeanwhile(t *testing.T) {
	t.Parallel()
	m := newMounts(t)
	source, destination := dirs(t)
	shell(t, source, "mkdir sub empty; echo 1 > sub/hidden")
	dir := t.TempDir()
	file := filepath.Join(dir, "sync.hcl")
	writeFile(t, file, fmt.Sprintf("state_dir = %q\n", dir+"/state")+localSync("s", source, destination, ""))
	once := func(want int, args ...string) string {
		t.Helper()
		cmd := exec.Command("filewatch", append([]string{"-config", file, "-once"}, args...)...)
		m.enter(cmd)
		out, err := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%v: exit status %d, %v\n%s", args, got, err, out)
		}
		return string(out)
	}
	once(0)
	untouched := func() { t.Helper(); shell(t, destination, "test -f sub/hidden; test ! -e sub/new") }
	m.run("mount -t tmpfs one '" + source + "/empty'; mount -t tmpfs two '" + source + "/sub'; echo 2 > '" + source + "/sub/new'")
	if out := once(1, "-approve", "s"); !strings.Contains(out, "tmpfs (two) is mounted over it") || !strings.Contains(out, "nothing is approved") {
		t.Errorf("the first run after it says %s", out)
	}
	once(1)
	untouched()
	m.run("umount '" + source + "/sub'")
	once(0)
	m.run("mount -t tmpfs three '" + source + "/sub'; echo 3 > '" + source + "/sub/new'")
	once(1, "-approve", "s")
	untouched()
	once(0, "-approve", "s")
	same(t, m.path(source), destination)
	once(0)
}

// Without a place for the sockets of its plugins filewatch fails; the configuration is not to blame.
func TestNoPlaceForSockets(t *testing.T) {
	t.Parallel()
	m := newMounts(t)
	source, destination := dirs(t)
	file := filepath.Join(t.TempDir(), "sync.hcl")
	writeFile(t, file, localSync("s", source, destination, ""))
	for _, dir := range []string{"/run", "/tmp", os.TempDir()} {
		m.run("mount --rbind '" + dir + "' '" + dir + "'; mount -o remount,ro,bind '" + dir + "'")
	}
	cmd := exec.Command("filewatch", "-config", file, "-once")
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR=")
	m.enter(cmd)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no place for the sockets") || cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("%v:\n%s", err, out)
	}
}
