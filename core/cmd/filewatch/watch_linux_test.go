package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// fuse is a file system that a process serves.
type fuse struct{ process *os.Process }

// bindfs mounts a directory at another one by way of FUSE, where only who is in the same mount namespace
// sees it.
func bindfs(t *testing.T, backing, at string) fuse {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	mount := exec.Command("unshare", "-m", "--propagation", "private", "bindfs", "-f", backing, at)
	mount.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	mount.Stderr = os.Stderr
	if err := mount.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = mount.Process.Kill()
		_ = mount.Wait()
	})
	pid := itoa(mount.Process.Pid)
	eventually(t, "bindfs has mounted", func() bool {
		table, _ := os.ReadFile("/proc/" + pid + "/mountinfo")
		return strings.Contains(string(table), " "+at+" ")
	})
	return fuse{mount.Process}
}

// enter runs the daemon where it is mounted.
func (f fuse) enter(cmd *exec.Cmd) { (&mounts{pid: f.process.Pid}).enter(cmd) }

// hang has it answer nothing until the returned function is called.
func (f fuse) hang(t *testing.T) (heal func()) {
	t.Helper()
	// A request that it has read, and does not answer, could not even be given up by who is killed.
	proc.Halt(t, f.process.Pid)
	return func() {
		if err := f.process.Signal(syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}
}

// What is changed behind a FUSE mount causes no events.
func TestFUSE(t *testing.T) {
	t.Parallel()
	backing, destination := dirs(t)
	source := filepath.Join(filepath.Dir(backing), "mounted")
	shell(t, filepath.Dir(backing), "mkdir mounted source/d; echo x > source/d/x")
	d := startDaemon(t, localSync("s", source, destination, ""), bindfs(t, backing, source).enter)
	d.waitText(0, "watcher chosen", `"poll"`, "FUSE")
	at := d.waitMessage(0, "s", "in sync")
	eventually(t, "inotify runs beside polling", func() bool { return d.plugin("inotify") != 0 })
	shell(t, backing, "echo behind > d/x; echo new > d/new; rm first")
	tree.WaitEqual(t, backing, destination, patience, tree.Options{})
	at = d.waitMessage(at, "s", "in sync")
	shell(t, backing, "mv d e; echo again > e/x")
	tree.WaitEqual(t, backing, destination, patience, tree.Options{})
	d.waitMessage(at, "s", "in sync")
}

// What is removed behind a FUSE mount is found by rsync as long as the kernel has it in its cache.
func TestFUSERemoved(t *testing.T) {
	t.Parallel()
	backing, destination := dirs(t)
	source := filepath.Join(filepath.Dir(backing), "mounted")
	shell(t, filepath.Dir(backing), "mkdir mounted source/d")
	d := startDaemon(t, localSync("s", source, destination, ""), bindfs(t, backing, source).enter)
	d.waitMessage(0, "s", "in sync")
	for range 5 {
		shell(t, backing, "echo x > d/x")
		d.flushed(t)
		shell(t, destination, "test -e d/x")
		shell(t, backing, "rm d/x")
		d.flushed(t)
		shell(t, destination, "test ! -e d/x")
	}
}

// TestFUSEInside: the rest of the tree is watched, the mount is polled.
func TestFUSEInside(t *testing.T) {
	t.Parallel()
	for _, watcher := range []string{"", `watcher "inotify" {}`, `watcher "fanotify" {}`} {
		t.Run(watcher, func(t *testing.T) {
			source, destination := dirs(t)
			backing := filepath.Join(filepath.Dir(source), "backing")
			shell(t, filepath.Dir(source), "mkdir -p backing/d source/sub/m source/own; echo x > backing/d/x")
			d := startDaemon(t, localSync("s", source, destination, watcher), bindfs(t, backing, filepath.Join(source, "sub/m")).enter)
			d.waitText(0, "partly not watched", "sub/m")
			at := d.waitMessage(0, "s", "in sync")
			shell(t, backing, "echo behind > d/x; echo new > d/new")
			shell(t, source, "echo own > own/x")
			tree.WaitEqual(t, backing, filepath.Join(destination, "sub/m"), patience, tree.Options{})
			tree.WaitEqual(t, filepath.Join(source, "own"), filepath.Join(destination, "own"), patience, tree.Options{})
			d.waitMessage(at, "s", "in sync")
		})
	}
}

// inMounts starts a daemon in a mount namespace of its own for a source with the directories full, with a
// file in it, and empty. Script runs before.
func inMounts(t *testing.T, script string) (d *daemon, source, destination string, at int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	source, destination = dirs(t)
	shell(t, source, "mkdir full empty beside; echo kept > full/kept; echo x > beside/x")
	d = startDaemon(t, localSync("s", source, destination, ""),
		inMountNamespace("mount --make-rprivate /; cd "+source+"; "+script+"; cd /"))
	return d, source, destination, d.waitMessage(0, "s", "in sync")
}

// reaches writes a file, as seen by the daemon, and waits until it is at the destination.
func reaches(t *testing.T, d *daemon, source, destination, path string) {
	t.Helper()
	d.enter("-m", "echo "+path+" > "+filepath.Join(source, path))
	eventually(t, path+" arrives", func() bool {
		text, _ := os.ReadFile(filepath.Join(destination, path))
		return string(text) == path+"\n"
	})
}

func TestMountOverASubdirectory(t *testing.T) {
	t.Parallel()
	d, source, destination, at := inMounts(t, ":")
	d.enter("-m", "mount -t tmpfs none "+source+"/full; echo hidden > "+source+"/full/hidden")
	at = d.waitText(at, "full", "is mounted over it")
	reaches(t, d, source, destination, "beside/while")
	shell(t, destination, "test -e full/kept; test ! -e full/hidden")
	d.enter("-m", "umount "+source+"/full")
	reaches(t, d, source, destination, "full/after")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.waitMessage(at, "s", "in sync")
}

func TestMountOverAnEmptyDirectory(t *testing.T) {
	t.Parallel()
	d, source, destination, at := inMounts(t, ":")
	d.enter("-m", "mount -t tmpfs none "+source+"/empty; echo x > "+source+"/empty/x")
	reaches(t, d, source, destination, "empty/y")
	shell(t, destination, "test -e empty/x")
	d.enter("-m", "umount "+source+"/empty")
	at = d.waitText(at, "empty", "is no longer mounted there")
	reaches(t, d, source, destination, "beside/while")
	shell(t, destination, "test -e empty/x; test -e empty/y")
	d.enter("-m", "rmdir "+source+"/empty")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.waitMessage(at, "s", "in sync")
}

func TestUnmountOfASubdirectory(t *testing.T) {
	t.Parallel()
	d, source, destination, at := inMounts(t, "mount -t tmpfs none empty; mkdir empty/d; echo x > empty/d/x")
	shell(t, destination, "test -e empty/d/x")
	d.enter("-m", "umount "+source+"/empty")
	d.waitText(at, "empty", "is no longer mounted there")
	reaches(t, d, source, destination, "beside/while")
	shell(t, destination, "test -e empty/d/x")
}

func TestMountOverTheRoot(t *testing.T) {
	t.Parallel()
	d, source, destination, at := inMounts(t, ":")
	d.enter("-m", "mount -t tmpfs none "+source)
	at = d.waitText(at, source, "othing is sent or deleted")
	d.enter("-m", "echo hidden > "+source+"/hidden")
	shell(t, source, "echo meanwhile > meanwhile")
	d.enter("-m", "umount "+source)
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	at = d.waitMessage(at, "s", "in sync")
	reaches(t, d, source, destination, "full/after")
	shell(t, destination, "test -e full/kept; test ! -e hidden")
	d.waitMessage(at, "s", "in sync")
}

// Files that get another content of the same size, and the time that they had, arrive, however it was done. Polling sees
// only those that another file has taken the place of.
func TestSameSizeAndTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		watcher string
		arrive  []string
	}{
		{"inotify", []string{"written", "replaced", "sibling"}},
		{"fanotify", []string{"written", "replaced", "sibling"}},
		{"poll", []string{"replaced", "sibling"}},
	} {
		t.Run(tt.watcher, func(t *testing.T) {
			t.Parallel()
			source, destination := dirs(t)
			shell(t, source, "for f in written replaced sibling; do echo 0000 >$f; touch -d 2020-01-01 $f; done")
			d := startDaemon(t, localSync("s", source, destination, fmt.Sprintf("watcher %q {}", tt.watcher)))
			d.flushed(t)
			for i := 1; i <= 5; i++ {
				shell(t, source, fmt.Sprintf(`echo %04[1]d >written; touch -d 2020-01-01 written
echo %04[1]d >'%[2]s.next'; touch -d 2020-01-01 '%[2]s.next'; mv '%[2]s.next' replaced
cp -p written next`, i, source))
				if i%2 == 0 {
					d.flushed(t) // it is at the destination under the name that it has now, too
				}
				shell(t, source, "mv next sibling")
				d.flushed(t)
				for _, name := range tt.arrive {
					got, err := os.ReadFile(filepath.Join(destination, name))
					if want := fmt.Sprintf("%04d\n", i); err != nil || string(got) != want {
						t.Errorf("%s: %q, %v, want %q", name, got, err, want)
					}
				}
			}
		})
	}
}
