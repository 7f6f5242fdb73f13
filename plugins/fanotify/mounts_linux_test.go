package fanotify

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

func TestMountsBelow(t *testing.T) {
	const table = `22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:20 / /proc rw - proc proc rw
30 22 0:30 / /srv rw - xfs /dev/sdb rw
31 30 0:31 /sub /srv/site/with\040space\011tab\012nl\134 rw shared:2 master:1 - tmpfs none rw
32 30 0:32 / /srv/site/nfs rw - nfs4 host:/x rw
33 30 0:33 / /srv/site2 rw - tmpfs none rw
34 32 0:34 / /srv/site/nfs rw - ext4 /dev/sdc rw
35 30 0:35 / /srv/site rw - tmpfs none rw
not a mount
x 1 0:1 / /srv/site/x rw - tmpfs none rw
`
	own, below := mountsBelow(table, "/srv/site", 30)
	want := []mount{
		{31, "31 30 0:31 /sub", "tmpfs", "with space\ttab\nnl\\"},
		{32, "32 30 0:32 /", "nfs4", "nfs"},
		{34, "34 32 0:34 /", "ext4", "nfs"},
	}
	if diff := cmp.Diff(want, below, cmp.AllowUnexported(mount{})); diff != "" || own.fstype != "xfs" {
		t.Errorf("own %v, -want +got\n%s", own, diff)
	}
	if own, below = mountsBelow(table, "/", 22); own.fstype != "ext4" || len(below) != 7 {
		t.Errorf("got %v, %v", own, below)
	}
}

func FuzzMountsBelow(f *testing.F) {
	f.Add(`31 30 0:31 /sub /a\040b rw - tmpfs none rw`)
	f.Fuzz(func(t *testing.T, table string) {
		for _, root := range []string{"/", "/a"} {
			_, below := mountsBelow(table, root, 31)
			for _, m := range below {
				if m.point == "" || m.id == 31 {
					t.Errorf("got %+v", m)
				}
			}
		}
	})
}

func (a area) mount(at string) { must(a.t, unix.Mount("none", a.path(at), "tmpfs", 0, "")) }

// umount unmounts, if need be after a moment: the watch may be looking at what is mounted.
func (a area) umount(at string) {
	a.t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if err = unix.Unmount(a.path(at), 0); err != unix.EBUSY {
			break
		}
	}
	must(a.t, err)
}
func (a area) bind(of, at string) {
	must(a.t, unix.Mount(a.path(of), a.path(at), "", unix.MS_BIND, ""))
}

// TestMounts mounts things in a mount namespace of its own.
func TestMounts(t *testing.T) {
	if !inside(t, ownMounts) {
		return
	}
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("m/covered/x", "src/in/deep", "bind", "moved", "skip", "out:elsewhere/x")
	a.write("src/file", "bound")
	w := start(t, quick().watch, a.root, "/skip")

	t.Run("over a directory", func(t *testing.T) {
		w.alive("m/covered/x")
		mark := w.mark()
		held, err := unix.Open(a.path("m/covered/x"), unix.O_PATH, 0)
		must(t, err)
		a.mount("m")
		a.mkdir("m/new/y")
		w.prove()
		w.covered(mark, "m/new/y")
		w.alive("m", "m/new", "m/new/y")
		mark = w.mark()
		must(t, os.Chmod(a.path("m"), 0o700))
		w.prove()
		w.only(mark, "m")
		// What the mount hides is not in the tree.
		mark = w.mark()
		fd, err := unix.Openat(held, "hidden", unix.O_CREAT|unix.O_WRONLY, 0o644)
		must(t, err)
		unix.Close(fd)
		unix.Close(held)
		w.prove()
		w.only(mark)
	})
	t.Run("a mount in a mount", func(t *testing.T) {
		mark := w.mark()
		a.mount("m/new")
		w.prove()
		w.covered(mark, "m/new")
		w.alive("m/new")
		mark = w.mark()
		a.umount("m/new")
		w.prove()
		w.covered(mark, "m/new/y")
		w.alive("m/new", "m/new/y")
	})
	t.Run("unmounted", func(t *testing.T) {
		mark := w.mark()
		a.umount("m")
		w.prove()
		w.covered(mark, "m/covered/x")
		w.alive("m", "m/covered", "m/covered/x")
	})
	t.Run("one after the other", func(t *testing.T) {
		for range 20 {
			mark := w.mark()
			a.mount("m")
			w.prove()
			w.covered(mark, "m")
			a.umount("m")
			a.mount("m")
			a.mkdir("m/n")
			w.prove()
			w.alive("m/n")
			a.umount("m")
		}
	})
	t.Run("one directory at two places", func(t *testing.T) {
		mark := w.mark()
		a.bind("src", "bind")
		w.prove()
		w.covered(mark, "bind/in/deep")
		both := func(file string) {
			t.Helper()
			mark := w.mark()
			a.write("src/" + file)
			w.prove()
			w.only(mark, "src/"+file, "bind/"+file)
			mark = w.mark()
			a.rm("bind/" + file)
			w.prove()
			w.only(mark, "src/"+file, "bind/"+file)
		}
		both("in/deep/f")
		mark = w.mark()
		a.mkdir("bind/in/made/x")
		w.prove()
		w.covered(mark, "src/in/made/x", "bind/in/made/x")
		both("in/made/x/f")
		mark = w.mark()
		a.mv("src/in", "src/out")
		w.prove()
		w.covered(mark, "src/in", "bind/in", "src/out/made", "bind/out/made")
		both("out/deep/f")
		mark = w.mark()
		a.mv("src/out/deep", "moved/deep")
		a.write("moved/deep/f")
		w.prove()
		w.covered(mark, "moved/deep/f", "src/out/deep", "bind/out/deep")
		mark = w.mark()
		a.umount("bind")
		w.prove()
		w.covered(mark, "bind/out/deep")
		mark = w.mark()
		a.write("src/out/g")
		w.prove()
		w.only(mark, "src/out/g")
	})
	t.Run("a directory from outside", func(t *testing.T) {
		mark := w.mark()
		a.bind("out:elsewhere", "bind")
		w.prove()
		w.covered(mark, "bind/x")
		mark = w.mark()
		a.write("out:elsewhere/x/f")
		w.prove()
		w.only(mark, "bind/x/f")
		a.umount("bind")
		w.prove()
		mark = w.mark()
		a.write("out:elsewhere/x/f")
		w.prove()
		w.only(mark)
	})
	t.Run("the root inside itself", func(t *testing.T) {
		must(t, unix.Mount(a.root, a.path("bind"), "", unix.MS_BIND, ""))
		w.prove()
		mark := w.mark()
		a.write("src/out/h")
		w.prove()
		w.only(mark, "src/out/h", "bind/src/out/h")
		a.umount("bind")
		w.alive("bind", "src/out")
	})
	t.Run("a directory above a mount is renamed", func(t *testing.T) {
		a.mkdir("top/mid/at")
		a.mount("top/mid/at")
		a.mkdir("top/mid/at/w")
		w.prove()
		w.alive("top/mid/at", "top/mid/at/w")
		mark := w.mark()
		a.mv("top", "pot")
		a.write("pot/mid/at/w/f")
		w.prove()
		w.covered(mark, "top/mid/at/w/f", "pot/mid/at/w/f")
		w.alive("pot/mid/at/w", "pot/mid")
		mark = w.mark()
		a.umount("pot/mid/at")
		w.prove()
		w.covered(mark, "pot/mid/at")
		w.alive("pot/mid/at", "pot/mid")
	})
	t.Run("a file", func(t *testing.T) {
		mark := w.mark()
		must(t, os.MkdirAll(a.path("in"), 0o755))
		a.write("in/at")
		must(t, unix.Mount(a.path("bound"), a.path("in/at"), "", unix.MS_BIND, ""))
		w.prove()
		w.covered(mark, "in/at")
		if paths, reason := w.unwatched(); !slices.Equal(paths, []string{"in"}) || !strings.Contains(reason, `"in/at"`) {
			t.Errorf("got %q, %q", paths, reason)
		}
		a.umount("in/at")
		w.prove()
		if paths, reason := w.unwatched(); len(paths) > 0 || reason != "" {
			t.Errorf("got %q, %q", paths, reason)
		}
	})
	t.Run("what cannot be watched", func(t *testing.T) {
		mark := w.mark()
		must(t, unix.Mount("none", a.path("bind"), "proc", 0, ""))
		a.overlay("moved")
		w.prove()
		w.covered(mark, "bind/1", "moved/lower")
		if paths, reason := w.unwatched(); !slices.Equal(paths, []string{"bind", "moved"}) || !strings.Contains(reason, "overlay") || !strings.Contains(reason, "proc") {
			t.Errorf("got %q, %q", paths, reason)
		}
		a.umount("moved")
		a.umount("bind")
		w.prove()
		if paths, _ := w.unwatched(); len(paths) > 0 {
			t.Errorf("got %q", paths)
		}
		w.alive("bind", "moved")
	})
	t.Run("excluded", func(t *testing.T) {
		mark := w.mark()
		a.mount("skip")
		a.write("skip/f")
		w.prove()
		w.only(mark)
		a.umount("skip")
	})
	if slices.ContainsFunc(w.since(0), whole) {
		t.Error("needless comparison of everything")
	}
	must(t, w.end())
}

// overlay mounts an overlay of directories outside at a path.
func (a area) overlay(at string) {
	a.mkdir("out:l", "out:u", "out:w")
	a.write("out:l/lower")
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", a.path("out:l"), a.path("out:u"), a.path("out:w"))
	must(a.t, unix.Mount("none", a.path(at), "overlay", 0, options))
}

// TestUmountIsNotHindered: nothing is kept open in what is mounted, the root's own mount included.
func TestUmountIsNotHindered(t *testing.T) {
	if !inside(t, ownMounts) {
		return
	}
	a := area{t, t.TempDir(), t.TempDir()}
	a.mount("")
	a.mkdir("d")
	a.mount("d")
	w := start(t, quick().watch, a.root)
	a.mkdir("d/e")
	w.alive("", "d", "d/e")
	a.umount("d")
	w.prove()
	w.alive("", "d")
	a.umount("")
	<-w.done
	if !sdk.IsRootLost(w.err) {
		t.Errorf("got %v", w.err)
	}
}

// TestRootMount: the root is a mount of its own, which can be unmounted or covered while it is watched.
func TestRootMount(t *testing.T) {
	if !inside(t, ownMounts) {
		return
	}
	leakCheck(t)
	dir := t.TempDir()
	for _, above := range []string{"", "/sub"} {
		must(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		root := dir + above
		must(t, os.MkdirAll(root+"/d/e", 0o755))
		w := start(t, quick().watch, root)
		w.alive("", "d/e")
		must(t, unix.Unmount(dir, unix.MNT_DETACH))
		<-w.done
		if !sdk.IsRootLost(w.err) {
			t.Errorf("got %v", w.err)
		}

		must(t, os.MkdirAll(root, 0o755))
		w = start(t, quick().watch, root)
		must(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		<-w.done
		if !sdk.IsRootLost(w.err) {
			t.Errorf("mounted over: got %v", w.err)
		}
		must(t, unix.Unmount(dir, 0))
	}
}

// TestMountedAgain: the same file system is unmounted and back, perhaps before anyone has looked, but the
// kernel has taken its mark away.
func TestMountedAgain(t *testing.T) {
	if !inside(t, ownMounts) {
		return
	}
	dev := loopDevice(t)
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("m")
	mount := func() { must(t, unix.Mount(dev, a.path("m"), "ext4", 0, "")) }
	again := func() {
		a.umount("m")
		mount()
	}
	mount()
	a.mkdir("m/d")
	w := start(t, quick().watch, a.root)
	for range 10 {
		mark := w.mark()
		again()
		w.prove()
		w.covered(mark, "m/d")
		w.alive("", "m", "m/d")
	}
	must(t, w.end())
	for range 10 {
		w := start(t, quick().watch, a.path("m"))
		w.alive("", "d")
		again()
		<-w.done
		if !sdk.IsRootLost(w.err) {
			t.Errorf("got %v", w.err)
		}
	}
	a.umount("m")
}

// loopDevice returns a device with an empty ext4 on it.
func loopDevice(t *testing.T) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 16<<20))
	for _, tool := range []string{"mkfs.ext4", "losetup"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	if out, err := exec.Command("mkfs.ext4", "-q", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	out, err := exec.Command("losetup", "-f", "--show", image).CombinedOutput()
	if err != nil {
		t.Skipf("needs a loop device: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	// From here on it ends with the last one who has it open, however this process ends.
	held, err := os.Open(dev)
	must(t, err)
	t.Cleanup(func() { held.Close() })
	if out, err := exec.Command("losetup", "-d", dev).CombinedOutput(); err != nil {
		t.Fatalf("losetup -d: %v: %s", err, out)
	}
	return dev
}
