package inotify

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

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
not a mount
`
	own, below := mountsBelow(table, "/srv/site")
	want := map[string]mount{
		"with space\ttab\nnl\\": {"31 30 0:31 /sub", "tmpfs"},
		"nfs":                   {"34 32 0:34 /", "ext4"},
	}
	if diff := cmp.Diff(want, below, cmp.AllowUnexported(mount{})); diff != "" || own.fstype != "xfs" {
		t.Errorf("own %v, -want +got\n%s", own, diff)
	}
	if own, below = mountsBelow(table, "/"); own.fstype != "ext4" || len(below) != 5 {
		t.Errorf("got %v, %v", own, below)
	}
}

// TestMounts mounts things in a mount namespace of its own.
func TestMounts(t *testing.T) {
	if !inside(t, syscall.CLONE_NEWNS) {
		return
	}
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("m/covered/x", "src/in/deep", "bind", "moved", "skip")
	tn := quick()
	w := start(t, tn.watch, a.root, "/skip")
	mount := func(at string) { must(t, unix.Mount("none", a.path(at), "tmpfs", 0, "")) }
	umount := func(at string) { must(t, unix.Unmount(a.path(at), 0)) }

	t.Run("over a directory", func(t *testing.T) {
		mark := w.mark()
		mount("m")
		a.mkdir("m/new/y")
		w.covers(mark, "m/new/y")
		w.alive("m", "m/new", "m/new/y")
		mark = w.mark()
		must(t, os.Chmod(a.path("m"), 0o700))
		w.reports(mark, "m")
	})
	t.Run("a mount in a mount", func(t *testing.T) {
		mark := w.mark()
		mount("m/new")
		w.covers(mark, "m/new")
		w.alive("m/new")
		mark = w.mark()
		umount("m/new")
		w.covers(mark, "m/new/y")
		w.alive("m/new", "m/new/y")
	})
	t.Run("unmounted", func(t *testing.T) {
		mark := w.mark()
		umount("m")
		w.covers(mark, "m/covered/x")
		w.alive("m", "m/covered", "m/covered/x")
		watchesExactly(t, w, a.root, without(a.tree(), "skip"))
	})
	t.Run("one directory at two places", func(t *testing.T) {
		mark := w.mark()
		must(t, unix.Mount(a.path("src"), a.path("bind"), "", unix.MS_BIND, ""))
		w.covers(mark, "bind/in/deep")
		both := func(file string) {
			mark := w.mark()
			a.write("src/" + file)
			w.reports(mark, "src/"+file, "bind/"+file)
			mark = w.mark()
			a.rm("bind/" + file)
			w.reports(mark, "src/"+file, "bind/"+file)
		}
		both("in/deep/f")
		mark = w.mark()
		a.mkdir("bind/in/made/x")
		w.covers(mark, "src/in/made/x", "bind/in/made/x")
		both("in/made/x/f")
		mark = w.mark()
		a.mv("src/in", "src/out")
		w.covers(mark, "src/in", "bind/in", "src/out/made", "bind/out/made")
		both("out/deep/f")
		both("out/made/x/f")
		a.rm("bind/out/made")
		both("out/deep/g")

		mark = w.mark()
		a.mv("src/out/deep", "moved/deep")
		a.write("moved/deep/f")
		w.covers(mark, "moved/deep/f", "src/out/deep", "bind/out/deep")
		w.alive("moved/deep")
		mark = w.mark()
		a.mv("moved/deep", "src/out/deep")
		w.covers(mark, "src/out/deep", "bind/out/deep")
		both("out/deep/f")

		mark = w.mark()
		umount("bind")
		w.covers(mark, "bind/out/deep")
		a.write("bind/only", "src/out/deep/f")
		w.reports(mark, "bind/only", "src/out/deep/f")
		mark = w.mark()
		a.write("src/out/g")
		w.reports(mark, "src/out/g")
		for _, c := range w.since(mark) {
			if strings.HasPrefix(c.Path, "bind/out") {
				t.Errorf("%+v is no longer there", c)
			}
		}
		watchesExactly(t, w, a.root, without(a.tree(), "skip"))
	})
	t.Run("the root inside itself", func(t *testing.T) {
		mark := w.mark()
		must(t, unix.Mount(a.root, a.path("bind"), "", unix.MS_BIND, ""))
		w.covers(mark, "bind/src")
		a.write("src/out/h")
		w.reports(mark, "src/out/h", "bind/src/out/h")
		mark = w.mark()
		umount("bind")
		w.covers(mark, "bind")
		w.alive("bind", "src/out")
		watchesExactly(t, w, a.root, without(a.tree(), "skip"))
	})
	t.Run("a directory above a mount is renamed", func(t *testing.T) {
		mark := w.mark()
		a.mkdir("top/mid/at")
		w.covers(mark, "top/mid/at")
		mark = w.mark()
		mount("top/mid/at")
		w.covers(mark, "top/mid/at")
		w.alive("top/mid/at")
		a.mv("top", "pot")
		w.alive("pot/mid/at", "pot/mid")
		mark = w.mark()
		a.mkdir("pot/mid/at/x")
		w.covers(mark, "pot/mid/at/x")
		w.alive("pot/mid/at/x")
		mark = w.mark()
		umount("pot/mid/at")
		w.covers(mark, "pot/mid/at")
		w.alive("pot/mid/at", "pot/mid")
	})
	t.Run("excluded", func(t *testing.T) {
		mark := w.mark()
		mount("skip")
		a.write("skip/f")
		mount("moved") // comes after it
		w.covers(mark, "moved")
		for _, c := range w.since(mark) {
			if strings.HasPrefix(c.Path, "skip") {
				t.Errorf("%+v is excluded", c)
			}
		}
		umount("moved")
		umount("skip")
	})
	if slices.ContainsFunc(w.since(0), whole) {
		t.Error("needless comparison of everything")
	}
	must(t, w.end())
}

// TestRootMount: the root is a mount of its own, which can be unmounted while it is watched.
func TestRootMount(t *testing.T) {
	if !inside(t, syscall.CLONE_NEWNS) {
		return
	}
	leakCheck(t)
	dir := t.TempDir()
	for _, above := range []string{"", "/sub"} {
		must(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		root := dir + above
		must(t, os.MkdirAll(root+"/d/e", 0o755))
		w := start(t, production.watch, root)
		w.alive("", "d/e")
		must(t, unix.Unmount(dir, 0))
		<-w.done
		if !sdk.IsRootLost(w.err) {
			t.Errorf("got %v", w.err)
		}

		must(t, os.MkdirAll(root, 0o755))
		w = start(t, production.watch, root)
		must(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		<-w.done
		if !sdk.IsRootLost(w.err) {
			t.Errorf("mounted over: got %v", w.err)
		}
		must(t, unix.Unmount(dir, 0))
	}
}

// TestManyMounts comes and goes with mounts while the tree changes.
func TestManyMounts(t *testing.T) {
	if !inside(t, syscall.CLONE_NEWNS) {
		return
	}
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("src/x")
	w := start(t, quick().watch, a.root)
	for i := range 60 {
		at := fmt.Sprintf("m%d", i%5)
		a.mkdir(at)
		if i%2 == 0 {
			must(t, unix.Mount("none", a.path(at), "tmpfs", 0, ""))
		} else {
			must(t, unix.Mount(a.path("src"), a.path(at), "", unix.MS_BIND, ""))
		}
		a.mkdir(at+"/x/y", at+"/z")
		a.mv(at+"/z", at+"/x/y/z")
		if i%3 > 0 {
			must(t, unix.Unmount(a.path(at), unix.MNT_DETACH))
		}
		a.rm("src/x/y")
	}
	for _, d := range a.tree() {
		w.alive(d)
	}
	must(t, w.end())
	for i := range 5 {
		for unix.Unmount(a.path(fmt.Sprintf("m%d", i)), unix.MNT_DETACH) == nil {
		}
	}
}

func without(list []string, drop string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == drop })
}
