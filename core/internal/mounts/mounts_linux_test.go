package mounts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk/filter"
	"github.com/filewatch/filewatch/sdk/plugintest/isolate"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// held fails the test unless exactly these paths are held.
func held(t *testing.T, tr *Tracker, what string, want ...string) {
	t.Helper()
	holds := tr.Held()
	if got := paths(holds); !slices.Equal(got, want) {
		t.Errorf("%s: held %q, want %q", what, holds, want)
	}
}

func TestMountsOver(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	a := newArea(t)
	a.write("full/x")
	a.mkdir("empty")
	a.mkdir("empty2/sub")
	tr := New(a.root, nil, Memory{})
	held(t, tr, "at first")

	a.tmpfs("full")
	held(t, tr, "mounted over files", "full")
	if reason := tr.Held()[0].Reason; reason != "full/: tmpfs (none) is mounted over it and hides what is there: nothing is sent or deleted there until it is unmounted" {
		t.Error(reason)
	}
	a.mkdir("full/x/y")
	a.tmpfs("full/x/y")
	held(t, tr, "and once more inside", "full")
	a.umount("full/x/y")
	a.umount("full")
	held(t, tr, "unmounted")

	a.tmpfs("empty")
	held(t, tr, "nothing is hidden")
	a.mkdir("empty/deep")
	a.write("empty/y")
	a.tmpfs("empty/deep")
	held(t, tr, "nor in there")
	a.tmpfs("empty")
	held(t, tr, "over what was mounted", "empty")
	a.umount("empty")
	held(t, tr, "as before")
	a.umount("empty/deep")
	a.umount("empty")
	held(t, tr, "unmounted, and what was sent from there is to stay", "empty")
	a.tmpfs("empty")
	held(t, tr, "another one at the same place", "empty")
	if reason := tr.Held()[0].Reason; !strings.Contains(reason, "tmpfs (none) is mounted where tmpfs (none) was") {
		t.Error(reason)
	}
	if !tr.Approve("empty") || tr.Approve("empty") || tr.Approve("other") {
		t.Error("what can be approved is not what is held")
	}
	held(t, tr, "approved")
	a.umount("empty")
	held(t, tr, "the approved one is gone", "empty")
	tr.Approve("empty")
	held(t, tr, "approved again")

	a.tmpfs("empty2/sub")
	held(t, tr, "once more")
	a.umount("empty2/sub")
	held(t, tr, "gone", "empty2/sub")
	must(t, os.Remove(a.path("empty2/sub")))
	held(t, tr, "what cannot come back, and its mount point is removed")
}

// What is on a disk or a server may come back, and until then nobody has removed it.
func TestLastingMounts(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	a := newArea(t)
	a.mkdir("disk")
	a.mkdir("first")
	disk := t.TempDir() // on a file system of its own
	must(t, os.WriteFile(disk+"/x", nil, 0o644))
	other := t.TempDir()
	a.bind(disk, "first")
	tr := New(a.root, nil, Memory{})
	held(t, tr, "at first")
	a.umount("first")
	held(t, tr, "unmounted", "first")
	must(t, os.Remove(a.path("first")))
	held(t, tr, "and the mount point removed, as with a stick", "first")
	a.mkdir("first")
	a.bind(other, "first")
	held(t, tr, "another one", "first")
	a.umount("first")
	a.bind(disk, "first")
	held(t, tr, "it is back")
	a.bind(disk, "disk")
	held(t, tr, "one that came later")
	a.umount("disk")
	held(t, tr, "and went", "disk")
	a.bind(disk, "disk")
	held(t, tr, "and is back")
}

func TestFileSystemsThatComeBack(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	a := newArea(t)
	a.mkdir("image")
	image := func(name string) string {
		file := filepath.Join(t.TempDir(), name)
		cmd := exec.Command("sh", "-euc", "truncate -s 4M "+file+"; mke2fs -q "+file)
		cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return file
	}
	mount := func(file string) {
		t.Helper()
		if out, err := exec.Command("mount", "-o", "loop", file, a.path("image")).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Cleanup(func() { _ = unix.Unmount(a.path("image"), unix.MNT_DETACH) })
	}
	one, two := image("one"), image("two")
	mount(one)
	tr := New(a.root, nil, Memory{})
	a.umount("image")
	held(t, tr, "unmounted", "image")
	mount(two) // on the loop device that the other one was on
	held(t, tr, "another one", "image")
	a.umount("image")
	mount(one)
	held(t, tr, "it is back")
}

// A tmpfs that is replaced by another one between two looks has the same numbers in the table.
func TestReplacedUnseen(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	var uts unix.Statx_t
	must(t, unix.Statx(unix.AT_FDCWD, "/", 0, unix.STATX_MNT_ID_UNIQUE, &uts))
	if uts.Mask&unix.STATX_MNT_ID_UNIQUE == 0 {
		t.Skip("this kernel does not tell mounts apart")
	}
	a := newArea(t)
	a.mkdir("m")
	a.tmpfs("m")
	tr := New(a.root, nil, Memory{})
	for range 20 {
		a.umount("m")
		a.tmpfs("m")
		held(t, tr, "replaced", "m")
		tr.Approve("m")
	}
}

func TestOtherMounts(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	t.Run("over the root, which is the guard's", func(t *testing.T) {
		a := newArea(t)
		a.write("d/x")
		a.mkdir("m")
		a.tmpfs("m")
		tr := New(a.root, nil, Memory{})
		a.tmpfs("")
		tr.Held()
		a.umount("")
		held(t, tr, "as before")
	})
	t.Run("beside", func(t *testing.T) {
		a, b := newArea(t), newArea(t)
		a.write("x/y")
		b.write("x/y")
		tr := New(a.root+"/x", nil, Memory{})
		b.tmpfs("x")
		a.mkdir("xx")
		a.tmpfs("xx")
		held(t, tr, "beside")
	})
	t.Run("excluded", func(t *testing.T) {
		a := newArea(t)
		a.write("cache/d/x")
		f, err := filter.Parse([]string{"cache/"})
		must(t, err)
		tr := New(a.root, f, Memory{})
		a.tmpfs("cache/d")
		held(t, tr, "mounted")
		a.umount("cache/d")
		held(t, tr, "unmounted")
	})
	t.Run("renamed with the directory it is in", func(t *testing.T) {
		a := newArea(t)
		a.mkdir("d/m")
		a.mkdir("other")
		a.tmpfs("d/m")
		a.write("d/m/x")
		tr := New(a.root, nil, Memory{})
		must(t, os.Rename(a.path("d"), a.path("e")))
		t.Cleanup(func() { _ = unix.Unmount(a.path("e/m"), unix.MNT_DETACH) })
		a.tmpfs("other") // by which the table is read again
		held(t, tr, "it is the same")
		a.umount("e/m")
		held(t, tr, "gone from there", "e/m")
	})
	t.Run("root by a symlink", func(t *testing.T) {
		a := newArea(t)
		a.write("d/x")
		link := filepath.Join(t.TempDir(), "link")
		must(t, os.Symlink(a.root, link))
		tr := New(link, nil, Memory{})
		a.tmpfs("d")
		held(t, tr, "mounted", "d")
	})
	t.Run("root that comes later", func(t *testing.T) {
		a := newArea(t)
		tr := New(a.path("later"), nil, Memory{})
		a.mkdir("later/m")
		a.tmpfs("later/m")
		held(t, tr, "what is there then")
		a.umount("later/m")
		held(t, tr, "and goes", "m")
		must(t, os.RemoveAll(a.path("later")))
		tr.Held()
	})
	t.Run("a file over a file", func(t *testing.T) {
		a := newArea(t)
		a.write("f")
		tr := New(a.root, nil, Memory{})
		a.bind("/proc/self/mountinfo", "f")
		held(t, tr, "mounted", "f")
		a.umount("f")
		held(t, tr, "unmounted")
	})
	t.Run("hostile names", func(t *testing.T) {
		a := newArea(t)
		for _, n := range tree.HostileNames() {
			a.write(n + "/x")
		}
		tr := New(a.root, nil, Memory{})
		want := slices.Clone(tree.HostileNames())
		slices.Sort(want)
		for _, n := range want {
			a.tmpfs(n)
		}
		held(t, tr, "mounted", want...)
		for _, h := range tr.Held() {
			f, err := filter.Parse([]string{filter.Literal(h.Path)})
			must(t, err)
			if !f.Excluded(h.Path, true) || !f.Excluded(h.Path+"/x", false) || f.Excluded(h.Path+"x", true) || f.Excluded("directory/"+h.Path, true) {
				t.Errorf("%q does not stand for %q", filter.Literal(h.Path), h.Path)
			}
		}
		for _, n := range want {
			a.umount(n)
		}
		held(t, tr, "unmounted")
	})
	t.Run("many", func(t *testing.T) {
		a := newArea(t)
		tr := New(a.root, nil, Memory{})
		for i := range 300 {
			a.mkdir(fmt.Sprint(i))
			a.tmpfs(fmt.Sprint(i))
			held(t, tr, "containers come")
		}
		for i := range 300 {
			a.umount(fmt.Sprint(i))
			must(t, os.Remove(a.path(fmt.Sprint(i))))
		}
		held(t, tr, "and go")
	})
}

// An ordinary user cannot look below a mount, and so holds it.
func TestUnprivileged(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	a := newArea(t)
	a.mkdir("empty")
	tr := New(a.root, nil, Memory{})
	tr.system.hides = func(root, path string) bool {
		hidden := make(chan bool)
		go func() { // in a thread of its own, which ends with it
			lockForGood()
			if err := unix.Setfsuid(65534); err != nil {
				t.Error(err)
			}
			dropCapabilities(t)
			hidden <- hides(root, path)
		}()
		return <-hidden
	}
	a.tmpfs("empty")
	held(t, tr, "mounted", "empty")
}

func TestRunTells(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	a := newArea(t)
	a.write("d/x")
	tr := New(a.root, nil, Memory{})
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan string, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tr.Run(ctx, func(held, free []string) { told <- fmt.Sprint("held ", held, " free ", free) })
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-told:
			if got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		case <-time.After(recheck / 2): // it is the kernel that tells
			t.Errorf("not told %q", want)
		}
	}
	time.Sleep(50 * time.Millisecond) // not needed, but lets Run read the table before
	a.tmpfs("d")
	expect("held [d] free []")
	a.umount("d")
	expect("held [] free [d]")
	cancel()
	<-done
}

// What one run has synced the next one knows, unless the machine was started anew in between: then what does
// not outlive its mount has ended with it.
func TestMemory(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	a := newArea(t)
	a.mkdir("disk")
	a.mkdir("tmp")
	a.mkdir("new")
	a.write("new/hidden")
	a.mkdir("tmp/empty")
	disk := t.TempDir() // on a file system of its own
	a.bind(disk, "disk")
	a.tmpfs("tmp")
	var m Memory
	m.Remember = func(boot string, known []Known, held []string) { m.Boot, m.Known, m.Held = boot, known, held }
	open := func() *Tracker { return New(a.root, nil, m) }
	held(t, open(), "at first")
	held(t, open(), "all is as it was")
	a.umount("disk")
	a.umount("tmp")
	held(t, open(), "unmounted meanwhile", "disk", "tmp")
	held(t, open(), "and still so", "disk", "tmp")
	later := m
	later.Boot, later.Remember = "another", nil
	held(t, New(a.root, nil, later), "after a boot", "disk")
	a.bind(disk, "disk")
	held(t, New(a.root, nil, later), "after a boot, and it is back")

	tr := open()
	held(t, tr, "one is back", "tmp")
	if !tr.Approve("tmp") {
		t.Error("tmp cannot be approved")
	}
	held(t, open(), "approved")
	a.tmpfs("new")
	a.tmpfs("tmp/empty")
	later = m
	later.Boot, later.Remember = "another", nil
	held(t, New(a.root, nil, later), "what came with another boot is synced")
	told := m
	tr = open()
	held(t, tr, "what came while nobody looked, and hides something", "new")
	if hold := tr.Held()[0]; tr.ApproveTold(hold) || New(a.root, nil, told).ApproveTold(hold) {
		t.Error("a hold that nobody was told of was approved")
	}
	tr = open()
	held(t, tr, "and still so", "new")
	if !tr.ApproveTold(tr.Held()[0]) {
		t.Error("new cannot be approved")
	}
	held(t, open(), "approved")
	a.umount("new")
	held(t, open(), "from then on", "new")

	exclude, err := filter.Parse([]string{"/new", "/disk"})
	must(t, err)
	a.umount("disk")
	held(t, New(a.root, exclude, m), "excluded by now")
}
