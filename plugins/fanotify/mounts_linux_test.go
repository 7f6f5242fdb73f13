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

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/mountinfo"
	"github.com/filewatch/filewatch/sdk/plugintest/isolate"
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
	own, below := mountsBelow(mountinfo.Parse(table), "/srv/site", 30)
	type place struct {
		id uint64
		at string
	}
	var got []place
	for _, m := range below {
		got = append(got, place{m.ID, m.at})
	}
	want := []place{{31, "with space\ttab\nnl\\"}, {32, "nfs"}, {34, "nfs"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(place{})); diff != "" || own.FSType != "xfs" {
		t.Errorf("own %v, -want +got\n%s", own, diff)
	}
	if own, below = mountsBelow(mountinfo.Parse(table), "/", 22); own.FSType != "ext4" || len(below) != 7 {
		t.Errorf("got %v, %v", own, below)
	}
}

func FuzzMountsBelow(f *testing.F) {
	f.Add(`31 30 0:31 /sub /a\040b rw - tmpfs none rw`)
	f.Fuzz(func(t *testing.T, table string) {
		for _, root := range []string{"/", "/a"} {
			_, below := mountsBelow(mountinfo.Parse(table), root, 31)
			for _, m := range below {
				if m.at == "" || m.ID == 31 {
					t.Errorf("got %+v", m)
				}
			}
		}
	})
}

func mountAt(a watchertest.Area, at string) {
	watchertest.Must(a.T, unix.Mount("none", a.Path(at), "tmpfs", 0, ""))
}

// unmount unmounts, if need be after a moment: the watch may be looking at what is mounted.
func unmount(a watchertest.Area, at string) {
	a.T.Helper()
	var err error
	for deadline := time.Now().Add(watchertest.Patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if err = unix.Unmount(a.Path(at), 0); err != unix.EBUSY {
			break
		}
	}
	watchertest.Must(a.T, err)
}
func bindAt(a watchertest.Area, of, at string) {
	watchertest.Must(a.T, unix.Mount(a.Path(of), a.Path(at), "", unix.MS_BIND, ""))
}

// TestMounts mounts things in a mount namespace of its own.
func TestMounts(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	a.Mkdir("m/covered/x", "src/in/deep", "bind", "moved", "skip", "out:elsewhere/x")
	a.Write("src/file", "bound")
	w := watchertest.Start(t, quick().watch, a.Root, "/skip")

	t.Run("over a directory", func(t *testing.T) {
		w.Alive("m/covered/x")
		mark := w.Mark()
		held, err := unix.Open(a.Path("m/covered/x"), unix.O_PATH, 0)
		watchertest.Must(t, err)
		mountAt(a, "m")
		a.Mkdir("m/new/y")
		w.Prove()
		w.Covered(mark, "m/new/y")
		w.Alive("m", "m/new", "m/new/y")
		mark = w.Mark()
		watchertest.Must(t, os.Chmod(a.Path("m"), 0o700))
		w.Prove()
		w.Only(mark, "m")
		// What the mount hides is not in the tree.
		mark = w.Mark()
		fd, err := unix.Openat(held, "hidden", unix.O_CREAT|unix.O_WRONLY, 0o644)
		watchertest.Must(t, err)
		unix.Close(fd)
		unix.Close(held)
		w.Prove()
		w.Only(mark)
	})
	t.Run("a mount in a mount", func(t *testing.T) {
		mark := w.Mark()
		mountAt(a, "m/new")
		w.Prove()
		w.Covered(mark, "m/new")
		w.Alive("m/new")
		mark = w.Mark()
		unmount(a, "m/new")
		w.Prove()
		w.Covered(mark, "m/new/y")
		w.Alive("m/new", "m/new/y")
	})
	t.Run("unmounted", func(t *testing.T) {
		mark := w.Mark()
		unmount(a, "m")
		w.Prove()
		w.Covered(mark, "m/covered/x")
		w.Alive("m", "m/covered", "m/covered/x")
	})
	t.Run("one after the other", func(t *testing.T) {
		for range 20 {
			mark := w.Mark()
			mountAt(a, "m")
			w.Prove()
			w.Covered(mark, "m")
			unmount(a, "m")
			mountAt(a, "m")
			a.Mkdir("m/n")
			w.Prove()
			w.Alive("m/n")
			unmount(a, "m")
		}
	})
	t.Run("one directory at two places", func(t *testing.T) {
		mark := w.Mark()
		bindAt(a, "src", "bind")
		w.Prove()
		w.Covered(mark, "bind/in/deep")
		both := func(file string) {
			t.Helper()
			mark := w.Mark()
			a.Write("src/" + file)
			w.Prove()
			w.Only(mark, "src/"+file, "bind/"+file)
			mark = w.Mark()
			a.Remove("bind/" + file)
			w.Prove()
			w.Only(mark, "src/"+file, "bind/"+file)
		}
		both("in/deep/f")
		mark = w.Mark()
		a.Mkdir("bind/in/made/x")
		w.Prove()
		w.Covered(mark, "src/in/made/x", "bind/in/made/x")
		both("in/made/x/f")
		mark = w.Mark()
		a.Move("src/in", "src/out")
		w.Prove()
		w.Covered(mark, "src/in", "bind/in", "src/out/made", "bind/out/made")
		both("out/deep/f")
		mark = w.Mark()
		a.Move("src/out/deep", "moved/deep")
		a.Write("moved/deep/f")
		w.Prove()
		w.Covered(mark, "moved/deep/f", "src/out/deep", "bind/out/deep")
		mark = w.Mark()
		unmount(a, "bind")
		w.Prove()
		w.Covered(mark, "bind/out/deep")
		mark = w.Mark()
		a.Write("src/out/g")
		w.Prove()
		w.Only(mark, "src/out/g")
	})
	t.Run("a directory from outside", func(t *testing.T) {
		mark := w.Mark()
		bindAt(a, "out:elsewhere", "bind")
		w.Prove()
		w.Covered(mark, "bind/x")
		mark = w.Mark()
		a.Write("out:elsewhere/x/f")
		w.Prove()
		w.Only(mark, "bind/x/f")
		unmount(a, "bind")
		w.Prove()
		mark = w.Mark()
		a.Write("out:elsewhere/x/f")
		w.Prove()
		w.Only(mark)
	})
	t.Run("the root inside itself", func(t *testing.T) {
		watchertest.Must(t, unix.Mount(a.Root, a.Path("bind"), "", unix.MS_BIND, ""))
		w.Prove()
		mark := w.Mark()
		a.Write("src/out/h")
		w.Prove()
		w.Only(mark, "src/out/h", "bind/src/out/h")
		unmount(a, "bind")
		w.Alive("bind", "src/out")
	})
	t.Run("a directory above a mount is renamed", func(t *testing.T) {
		a.Mkdir("top/mid/at")
		mountAt(a, "top/mid/at")
		a.Mkdir("top/mid/at/w")
		w.Prove()
		w.Alive("top/mid/at", "top/mid/at/w")
		mark := w.Mark()
		a.Move("top", "pot")
		a.Write("pot/mid/at/w/f")
		w.Prove()
		w.Covered(mark, "top/mid/at/w/f", "pot/mid/at/w/f")
		w.Alive("pot/mid/at/w", "pot/mid")
		mark = w.Mark()
		unmount(a, "pot/mid/at")
		w.Prove()
		w.Covered(mark, "pot/mid/at")
		w.Alive("pot/mid/at", "pot/mid")
	})
	t.Run("a file", func(t *testing.T) {
		mark := w.Mark()
		watchertest.Must(t, os.MkdirAll(a.Path("in"), 0o755))
		a.Write("in/at")
		watchertest.Must(t, unix.Mount(a.Path("bound"), a.Path("in/at"), "", unix.MS_BIND, ""))
		w.Prove()
		w.Covered(mark, "in/at")
		if paths, reason := w.Blind(); !slices.Equal(paths, []string{"in"}) || !strings.Contains(reason, `"in/at"`) {
			t.Errorf("got %q, %q", paths, reason)
		}
		unmount(a, "in/at")
		w.Prove()
		if paths, reason := w.Blind(); len(paths) > 0 || reason != "" {
			t.Errorf("got %q, %q", paths, reason)
		}
	})
	t.Run("what cannot be watched", func(t *testing.T) {
		mark := w.Mark()
		watchertest.Must(t, unix.Mount("none", a.Path("bind"), "proc", 0, ""))
		overlayAt(a, "moved")
		w.Prove()
		w.Covered(mark, "bind/1", "moved/lower")
		if paths, reason := w.Blind(); !slices.Equal(paths, []string{"bind", "moved"}) || !strings.Contains(reason, "overlay") || !strings.Contains(reason, "proc") {
			t.Errorf("got %q, %q", paths, reason)
		}
		unmount(a, "moved")
		unmount(a, "bind")
		w.Prove()
		if paths, _ := w.Blind(); len(paths) > 0 {
			t.Errorf("got %q", paths)
		}
		w.Alive("bind", "moved")
	})
	t.Run("excluded", func(t *testing.T) {
		mark := w.Mark()
		mountAt(a, "skip")
		a.Write("skip/f")
		w.Prove()
		w.Only(mark)
		unmount(a, "skip")
	})
	if slices.ContainsFunc(w.Since(0), watchertest.Whole) {
		t.Error("needless comparison of everything")
	}
	watchertest.Must(t, w.End())
}

// overlay mounts an overlay of directories outside at a path.
func overlayAt(a watchertest.Area, at string) {
	a.Mkdir("out:l", "out:u", "out:w")
	a.Write("out:l/lower")
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", a.Path("out:l"), a.Path("out:u"), a.Path("out:w"))
	watchertest.Must(a.T, unix.Mount("none", a.Path(at), "overlay", 0, options))
}

// TestUmountIsNotHindered: nothing is kept open in what is mounted, the root's own mount included.
func TestUmountIsNotHindered(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	a := watchertest.NewArea(t)
	mountAt(a, "")
	a.Mkdir("d")
	mountAt(a, "d")
	w := watchertest.Start(t, quick().watch, a.Root)
	a.Mkdir("d/e")
	w.Alive("", "d", "d/e")
	unmount(a, "d")
	w.Prove()
	w.Alive("", "d")
	unmount(a, "")
	<-w.Done
	if !sdk.IsRootLost(w.Err) {
		t.Errorf("got %v", w.Err)
	}
}

// TestRootMount: the root is a mount of its own, which can be unmounted or covered while it is watched.
func TestRootMount(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	watchertest.LeakCheck(t)
	dir := t.TempDir()
	for _, above := range []string{"", "/sub"} {
		watchertest.Must(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		root := dir + above
		watchertest.Must(t, os.MkdirAll(root+"/d/e", 0o755))
		w := watchertest.Start(t, quick().watch, root)
		w.Alive("", "d/e")
		watchertest.Must(t, unix.Unmount(dir, unix.MNT_DETACH))
		<-w.Done
		if !sdk.IsRootLost(w.Err) {
			t.Errorf("got %v", w.Err)
		}

		watchertest.Must(t, os.MkdirAll(root, 0o755))
		w = watchertest.Start(t, quick().watch, root)
		watchertest.Must(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		<-w.Done
		if !sdk.IsRootLost(w.Err) {
			t.Errorf("mounted over: got %v", w.Err)
		}
		watchertest.Must(t, unix.Unmount(dir, 0))
	}
}

// TestMountedAgain: the same file system is unmounted and back, perhaps before anyone has looked, but the
// kernel has taken its mark away.
func TestMountedAgain(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	dev := loopDevice(t)
	a := watchertest.NewArea(t)
	a.Mkdir("m")
	mount := func() { watchertest.Must(t, unix.Mount(dev, a.Path("m"), "ext4", 0, "")) }
	again := func() {
		unmount(a, "m")
		mount()
	}
	mount()
	a.Mkdir("m/d")
	w := watchertest.Start(t, quick().watch, a.Root)
	for range 10 {
		mark := w.Mark()
		again()
		w.Prove()
		w.Covered(mark, "m/d")
		w.Alive("", "m", "m/d")
	}
	watchertest.Must(t, w.End())
	for range 10 {
		w := watchertest.Start(t, quick().watch, a.Path("m"))
		w.Alive("", "d")
		again()
		<-w.Done
		if !sdk.IsRootLost(w.Err) {
			t.Errorf("got %v", w.Err)
		}
	}
	unmount(a, "m")
}

// loopDevice returns a device with an empty ext4 on it.
func loopDevice(t *testing.T) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	watchertest.Must(t, os.WriteFile(image, nil, 0o600))
	watchertest.Must(t, os.Truncate(image, 16<<20))
	if out, err := exec.Command("mkfs.ext4", "-q", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	if _, err := os.Stat("/dev/loop-control"); os.IsNotExist(err) {
		t.Skip("this kernel has no loop devices")
	}
	out, err := exec.Command("losetup", "-f", "--show", image).CombinedOutput()
	if err != nil {
		t.Fatalf("losetup: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	// From here on it ends with the last one who has it open, however this process ends.
	held, err := os.Open(dev)
	watchertest.Must(t, err)
	t.Cleanup(func() { held.Close() })
	if out, err := exec.Command("losetup", "-d", dev).CombinedOutput(); err != nil {
		t.Fatalf("losetup -d: %v: %s", err, out)
	}
	return dev
}

func TestMountsBeforeBarrier(t *testing.T) {
	if isolate.Run(t, isolate.OwnMounts) {
		watchertest.MountsBeforeBarrier(t, quick().watch)
	}
}
