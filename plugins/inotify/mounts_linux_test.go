package inotify

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

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
not a mount
`
	own, below := mountsBelow(mountinfo.Parse(table), "/srv/site")
	want := map[string]uint64{"with space\ttab\nnl\\": 31, "nfs": 34}
	got := make(map[string]uint64)
	for path, m := range below {
		got[path] = m.ID
	}
	if diff := cmp.Diff(want, got); diff != "" || own.FSType != "xfs" {
		t.Errorf("own %v, -want +got\n%s", own, diff)
	}
	if own, below = mountsBelow(mountinfo.Parse(table), "/"); own.FSType != "ext4" || len(below) != 5 {
		t.Errorf("got %v, %v", own, below)
	}
}

// TestMounts mounts things in a mount namespace of its own.
func TestMounts(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	a.Mkdir("m/covered/x", "src/in/deep", "bind", "moved", "skip")
	tn := quick()
	w := watchertest.Start(t, tn.watch, a.Root, "/skip")
	mount := func(at string) { watchertest.Must(t, unix.Mount("none", a.Path(at), "tmpfs", 0, "")) }
	umount := func(at string) { watchertest.Must(t, unix.Unmount(a.Path(at), 0)) }

	t.Run("over a directory", func(t *testing.T) {
		mark := w.Mark()
		mount("m")
		a.Mkdir("m/new/y")
		w.Covers(mark, "m/new/y")
		w.Alive("m", "m/new", "m/new/y")
		mark = w.Mark()
		watchertest.Must(t, os.Chmod(a.Path("m"), 0o700))
		w.Reports(mark, "m")
	})
	t.Run("a mount in a mount", func(t *testing.T) {
		mark := w.Mark()
		mount("m/new")
		w.Covers(mark, "m/new")
		w.Alive("m/new")
		mark = w.Mark()
		umount("m/new")
		w.Covers(mark, "m/new/y")
		w.Alive("m/new", "m/new/y")
	})
	t.Run("unmounted", func(t *testing.T) {
		mark := w.Mark()
		umount("m")
		w.Covers(mark, "m/covered/x")
		w.Alive("m", "m/covered", "m/covered/x")
		watchesExactly(t, w, a.Root, without(a.Dirs(), "skip"))
	})
	t.Run("one directory at two places", func(t *testing.T) {
		mark := w.Mark()
		watchertest.Must(t, unix.Mount(a.Path("src"), a.Path("bind"), "", unix.MS_BIND, ""))
		w.Covers(mark, "bind/in/deep")
		both := func(file string) {
			mark := w.Mark()
			a.Write("src/" + file)
			w.Reports(mark, "src/"+file, "bind/"+file)
			mark = w.Mark()
			a.Remove("bind/" + file)
			w.Reports(mark, "src/"+file, "bind/"+file)
		}
		both("in/deep/f")
		mark = w.Mark()
		a.Mkdir("bind/in/made/x")
		w.Covers(mark, "src/in/made/x", "bind/in/made/x")
		w.Alive("src/in/made/x", "bind/in/made/x") // till then the file would be told of with the directory
		both("in/made/x/f")
		mark = w.Mark()
		a.Move("src/in", "src/out")
		w.Covers(mark, "src/in", "bind/in", "src/out/made", "bind/out/made")
		both("out/deep/f")
		both("out/made/x/f")
		a.Remove("bind/out/made")
		both("out/deep/g")

		mark = w.Mark()
		a.Move("src/out/deep", "moved/deep")
		a.Write("moved/deep/f")
		w.Covers(mark, "moved/deep/f", "src/out/deep", "bind/out/deep")
		w.Alive("moved/deep")
		mark = w.Mark()
		a.Move("moved/deep", "src/out/deep")
		w.Covers(mark, "src/out/deep", "bind/out/deep")
		both("out/deep/f")

		mark = w.Mark()
		umount("bind")
		w.Covers(mark, "bind/out/deep")
		a.Write("bind/only", "src/out/deep/f")
		w.Reports(mark, "bind/only", "src/out/deep/f")
		mark = w.Mark()
		a.Write("src/out/g")
		w.Reports(mark, "src/out/g")
		for _, c := range w.Since(mark) {
			if strings.HasPrefix(c.Path, "bind/out") {
				t.Errorf("%+v is no longer there", c)
			}
		}
		watchesExactly(t, w, a.Root, without(a.Dirs(), "skip"))
	})
	t.Run("the root inside itself", func(t *testing.T) {
		mark := w.Mark()
		watchertest.Must(t, unix.Mount(a.Root, a.Path("bind"), "", unix.MS_BIND, ""))
		w.Covers(mark, "bind/src")
		a.Write("src/out/h")
		w.Reports(mark, "src/out/h", "bind/src/out/h")
		mark = w.Mark()
		umount("bind")
		w.Covers(mark, "bind")
		w.Alive("bind", "src/out")
		watchesExactly(t, w, a.Root, without(a.Dirs(), "skip"))
	})
	t.Run("a directory above a mount is renamed", func(t *testing.T) {
		mark := w.Mark()
		a.Mkdir("top/mid/at")
		w.Covers(mark, "top/mid/at")
		mark = w.Mark()
		mount("top/mid/at")
		w.Covers(mark, "top/mid/at")
		w.Alive("top/mid/at")
		a.Move("top", "pot")
		w.Alive("pot/mid/at", "pot/mid")
		mark = w.Mark()
		a.Mkdir("pot/mid/at/x")
		w.Covers(mark, "pot/mid/at/x")
		w.Alive("pot/mid/at/x")
		mark = w.Mark()
		umount("pot/mid/at")
		w.Covers(mark, "pot/mid/at")
		w.Alive("pot/mid/at", "pot/mid")
	})
	t.Run("excluded", func(t *testing.T) {
		mark := w.Mark()
		mount("skip")
		a.Write("skip/f")
		mount("moved") // comes after it
		w.Covers(mark, "moved")
		for _, c := range w.Since(mark) {
			if strings.HasPrefix(c.Path, "skip") {
				t.Errorf("%+v is excluded", c)
			}
		}
		umount("moved")
		umount("skip")
	})
	if slices.ContainsFunc(w.Since(0), watchertest.Whole) {
		t.Error("needless comparison of everything")
	}
	watchertest.Must(t, w.End())
}

// TestRootMount: the root is a mount of its own, which can be unmounted while it is watched.
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
		w := watchertest.Start(t, production.watch, root)
		w.Alive("", "d/e")
		watchertest.Must(t, unix.Unmount(dir, 0))
		<-w.Done
		if !sdk.IsRootLost(w.Err) {
			t.Errorf("got %v", w.Err)
		}

		watchertest.Must(t, os.MkdirAll(root, 0o755))
		w = watchertest.Start(t, production.watch, root)
		watchertest.Must(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		<-w.Done
		if !sdk.IsRootLost(w.Err) {
			t.Errorf("mounted over: got %v", w.Err)
		}
		watchertest.Must(t, unix.Unmount(dir, 0))
	}
}

// TestManyMounts comes and goes with mounts while the tree changes.
func TestManyMounts(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	a := watchertest.NewArea(t)
	a.Mkdir("src/x")
	w := watchertest.Start(t, quick().watch, a.Root)
	for i := range 60 {
		at := fmt.Sprintf("m%d", i%5)
		a.Mkdir(at)
		if i%2 == 0 {
			watchertest.Must(t, unix.Mount("none", a.Path(at), "tmpfs", 0, ""))
		} else {
			watchertest.Must(t, unix.Mount(a.Path("src"), a.Path(at), "", unix.MS_BIND, ""))
		}
		a.Mkdir(at+"/x/y", at+"/z")
		a.Move(at+"/z", at+"/x/y/z")
		if i%3 > 0 {
			watchertest.Must(t, unix.Unmount(a.Path(at), unix.MNT_DETACH))
		}
		a.Remove("src/x/y")
	}
	for _, d := range a.Dirs() {
		w.Alive(d)
	}
	watchertest.Must(t, w.End())
	for i := range 5 {
		for unix.Unmount(a.Path(fmt.Sprintf("m%d", i)), unix.MNT_DETACH) == nil {
		}
	}
}

func without(list []string, drop string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == drop })
}

func TestMountsBeforeBarrier(t *testing.T) {
	if isolate.Run(t, isolate.OwnMounts) {
		watchertest.MountsBeforeBarrier(t, quick().watch)
	}
}
