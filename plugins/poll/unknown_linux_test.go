package poll

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/isolate"
)

// quiet fails the test when anything but the paths is reported.
func quiet(t *testing.T, changes []sdk.Change, but ...string) {
	t.Helper()
	t.Helper()
	for _, c := range changes {
		if !slices.Contains(but, c.Path) {
			t.Errorf("%q %v is reported", c.Path, c)
		}
	}
}

// named fails the test unless changes holds exactly this one for path.
func named(t *testing.T, changes []sdk.Change, path string, scope sdk.Scope) {
	t.Helper()
	t.Helper()
	for _, c := range changes {
		if c.Path == path && c.Scope == scope {
			return
		}
	}
	t.Errorf("%q with scope %v is not in %+v", path, scope, changes)
}

// TestUnreadable: what cannot be read is reported as not watched, never as removed, and as changed in
// the whole once it can be read.
func TestUnreadable(t *testing.T) {
	if !isolate.Run(t, isolate.Nobody) {
		return
	}
	for _, light := range []bool{false, true} {
		t.Run(fmt.Sprintf("light %t", light), func(t *testing.T) {
			a := newArea(t)
			a.mkdir("d/e/f", "o")
			a.write("d/e/f/x", "d/y", "o/z")
			tr, r := mustTree(t, a.root)
			settle(t, tr, r)

			for _, mode := range []os.FileMode{0, 0o444, 0o111} {
				must(t, os.Chmod(a.path("d"), mode))
				for range 2 {
					o := mustPass(t, tr, light)
					if !slices.Equal(o.unwatched, []string{"d"}) || !strings.Contains(o.reason, "must be allowed") || !o.complete {
						t.Fatalf("mode %v: unwatched %q %q", mode, o.unwatched, o.reason)
					}
					quiet(t, r.take(), "d")
				}
				must(t, os.Chmod(a.path("d"), 0o755))
				a.rm("d/y")
				a.write("d/e/f/x2")
				if o := mustPass(t, tr, light); len(o.unwatched) != 0 || o.reason != "" {
					t.Errorf("still unwatched: %q %q", o.unwatched, o.reason)
				}
				named(t, r.take(), "d", sdk.ScopeSubtree)
				settle(t, tr, r)
				a.write("d/y", "d/e/f/x")
				mustPass(t, tr, light)
				changes := r.take()
				named(t, changes, "d/y", sdk.ScopePath)
				named(t, changes, "d/e/f/x", sdk.ScopePath)
				settle(t, tr, r)
			}

			// Gone while it could not be read.
			must(t, os.Chmod(a.path("d"), 0))
			mustPass(t, tr, light)
			a.mv("d", "n")
			r.take()
			if o := mustPass(t, tr, light); !slices.Equal(o.unwatched, []string{"n"}) {
				t.Errorf("unwatched %q", o.unwatched)
			}
			named(t, r.take(), "d", sdk.ScopePath)
			must(t, os.Chmod(a.path("n"), 0o755))
		})
	}
}

// TestUnreadableAtFirst: what could not be read when the watch began is found later.
func TestUnreadableAtFirst(t *testing.T) {
	if !isolate.Run(t, isolate.Nobody) {
		return
	}
	a := newArea(t)
	a.mkdir("d/e")
	a.write("d/e/x")
	must(t, os.Chmod(a.path("d"), 0))
	w := start(t, a.root, rarely())
	w.prove()
	if paths, reason := w.unwatched(); !slices.Equal(paths, []string{"d"}) || reason == "" {
		t.Errorf("unwatched %q %q", paths, reason)
	}
	must(t, os.Chmod(a.path("d"), 0o755))
	named(t, w.after(), "d", sdk.ScopeSubtree)
	if paths, _ := w.unwatched(); len(paths) != 0 {
		t.Errorf("unwatched %q", paths)
	}
	// The root itself.
	must(t, os.Chmod(a.root, 0))
	b := begin(t, a.root, rarely())
	if err := b.wait(); !sdk.IsMisconfigured(err) {
		t.Errorf("a root that cannot be read: %v", err)
	}
	must(t, os.Chmod(a.root, 0o755))
}

// TestRootUnreadable: a root that cannot be read for a while is unknown, and compared afterwards.
func TestRootUnreadable(t *testing.T) {
	if !isolate.Run(t, isolate.Nobody) {
		return
	}
	a := newArea(t)
	a.mkdir("d")
	a.write("d/x")
	tr, r := mustTree(t, a.root)
	settle(t, tr, r)
	for _, mode := range []os.FileMode{0, 0o444} {
		must(t, os.Chmod(a.root, mode))
		o := mustPass(t, tr, false)
		if !slices.Equal(o.unwatched, []string{""}) || o.complete {
			t.Errorf("mode %v: %+v", mode, o)
		}
		quiet(t, r.take(), "")
		must(t, os.Chmod(a.root, 0o755))
		if o = mustPass(t, tr, false); len(o.unwatched) != 0 || !o.complete {
			t.Errorf("after mode %v: %+v", mode, o)
		}
		named(t, r.take(), "", sdk.ScopeSubtree)
		settle(t, tr, r)
	}
}

// TestRootLost: nothing is reported when the root is no longer what it was.
func TestRootLost(t *testing.T) {
	for name, lose := range map[string]func(a area, root string){
		"removed":           func(a area, root string) { a.rm("root") },
		"renamed":           func(a area, root string) { a.mv("root", "other") },
		"replaced":          func(a area, root string) { a.mv("root", "other"); a.mkdir("root") },
		"a file":            func(a area, root string) { a.rm("root"); a.write("root") },
		"a dangling link":   func(a area, root string) { a.rm("root"); must(a.t, os.Symlink("nowhere", root)) },
		"a link to itself":  func(a area, root string) { a.rm("root"); must(a.t, os.Symlink("root", root)) },
		"a link to another": func(a area, root string) { a.rm("root"); must(a.t, os.Symlink(a.out, root)) },
		"the parent is gone": func(a area, root string) {
			must(a.t, os.Rename(a.root, a.out+"/moved"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			leakCheck(t)
			a := newArea(t)
			a.mkdir("root/d")
			a.write("root/d/x", "root/y")
			w := start(t, a.path("root"), rarely())
			w.rest()
			lose(a, a.path("root"))
			w.prove()
			if err := w.wait(); !sdk.IsRootLost(err) {
				t.Errorf("got %v", err)
			}
			quiet(t, w.take())
		})
	}
	t.Run("never there", func(t *testing.T) {
		if err := begin(t, t.TempDir()+"/none", rarely()).wait(); !sdk.IsRootLost(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("link retargeted", func(t *testing.T) {
		a := newArea(t)
		a.mkdir("one", "two")
		must(t, os.Symlink("one", a.path("root")))
		w := start(t, a.path("root"), rarely())
		a.write("one/x")
		named(t, w.after(), "x", sdk.ScopePath)
		a.rm("root")
		must(t, os.Symlink("two", a.path("root")))
		w.prove()
		if err := w.wait(); !sdk.IsRootLost(err) {
			t.Errorf("got %v", err)
		}
	})
}

// TestMounts mounts over directories of a tree, and over its root.
func TestMounts(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	for _, light := range []bool{false, true} {
		a := newArea(t)
		t.Cleanup(func() { unmountAll(a.path("m")) })
		a.mkdir("m/covered/x", "src/in")
		a.write("m/covered/f", "src/in/f")
		tr, r := mustTree(t, a.root)
		settle(t, tr, r)
		step := func(name string, do func()) {
			t.Helper()
			do()
			mustPass(t, tr, light)
			changes := r.take()
			named(t, changes, "m", sdk.ScopeSubtree)
			quiet(t, changes, "m")
			settle(t, tr, r)
			a.write("m/new")
			mustPass(t, tr, light)
			named(t, r.take(), "m/new", sdk.ScopePath)
			a.rm("m/new")
			settle(t, tr, r)
			if t.Failed() {
				t.Fatal(name)
			}
		}
		step("mounted", func() { must(t, unix.Mount("none", a.path("m"), "tmpfs", 0, "")) })
		step("mounted over", func() { must(t, unix.Mount("none", a.path("m"), "tmpfs", 0, "")) })
		step("unmounted one", func() { must(t, unix.Unmount(a.path("m"), 0)) })
		step("unmounted", func() { must(t, unix.Unmount(a.path("m"), 0)) })
		step("bound", func() { must(t, unix.Mount(a.path("src"), a.path("m"), "", unix.MS_BIND, "")) })
		step("unbound", func() { must(t, unix.Unmount(a.path("m"), unix.MNT_DETACH)) })
	}

	t.Run("mounted while it is looked for", func(t *testing.T) {
		a := newArea(t)
		t.Cleanup(func() { unmountAll(a.path("m")) })
		a.mkdir("m/d")
		a.write("m/f")
		tr, r := mustTree(t, a.root)
		settle(t, tr, r)
		tr.system.look = func(f folder, name []byte, e *entry, fresh bool) error {
			err := f.look(name, e, fresh)
			if string(name) == "m\x00" {
				must(t, unix.Mount("none", a.path("m"), "tmpfs", 0, ""))
			}
			return err
		}
		mustPass(t, tr, false)
		quiet(t, r.take())
		tr.system = kernel
		mustPass(t, tr, false)
		changes := r.take()
		named(t, changes, "m", sdk.ScopeSubtree)
		quiet(t, changes, "m")
	})

	t.Run("on the way to what is watched", func(t *testing.T) {
		a := newArea(t)
		t.Cleanup(func() { unmountAll(a.path("m")) })
		a.mkdir("m/d", "m/beside")
		a.write("m/d/f")
		w := watchOnly(a, "m/d")
		for _, change := range []func(){
			func() { must(t, unix.Mount("none", a.path("m"), "tmpfs", 0, "")) },
			func() { must(t, unix.Unmount(a.path("m"), 0)) },
		} {
			change()
			if changes := w.after(); !covered(a.root, "m/d/f", changes) {
				t.Errorf("%+v", changes)
			}
			w.rest()
		}
		a.write("m/d/f", "m/beside/f")
		changes := w.after()
		named(t, changes, "m/d/f", sdk.ScopePath)
		quiet(t, changes, "m/d/f")
	})

	t.Run("from a server", func(t *testing.T) {
		a := newArea(t)
		t.Cleanup(func() { unmountAll(a.path("m")) })
		a.mkdir("m")
		must(t, unix.Mount("none", a.path("m"), "tmpfs", 0, ""))
		tr := newTree(a.root, nil, nil, newRecorder())
		var mounted unix.Stat_t
		must(t, unix.Stat(a.path("m"), &mounted))
		tr.system.remote = func(f folder) bool {
			var st unix.Stat_t
			must(t, unix.Fstat(f.fd, &st))
			return st.Dev == mounted.Dev
		}
		for pass, want := range []int{workers(false), workers(true)} {
			p := newPass(t.Context(), tr, false)
			root, err := openRoot(a.root)
			must(t, err)
			must(t, p.begin(root))
			root.close()
			if cap(p.spare) != want {
				t.Errorf("pass %d: %d at once, want %d", pass, cap(p.spare), want)
			}
			mustPass(t, tr, false)
		}
	})

	for name, change := range map[string]func(dir string){
		"mounted over":       func(dir string) { must(t, unix.Mount("none", dir, "tmpfs", 0, "")) },
		"unmounted":          func(dir string) { must(t, unix.Unmount(dir, 0)) },
		"unmounted lazily":   func(dir string) { must(t, unix.Unmount(dir, unix.MNT_DETACH)) },
		"bind mount over it": func(dir string) { must(t, unix.Mount("/proc", dir, "", unix.MS_BIND, "")) },
	} {
		dir := t.TempDir()
		t.Cleanup(func() { unmountAll(dir) })
		must(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		must(t, os.MkdirAll(dir+"/d/e", 0o755))
		w := start(t, dir, rarely())
		w.rest()
		change(dir)
		w.prove()
		if err := w.wait(); !sdk.IsRootLost(err) {
			t.Errorf("%s: got %v", name, err)
		}
		quiet(t, w.take())
	}
}

func unmountAll(dir string) {
	for unix.Unmount(dir, unix.MNT_DETACH) == nil {
	}
}

// settle makes passes until nothing is reported.
func settle(t *testing.T, tr *tree, r *recorder) {
	t.Helper()
	eventually(t, func() string {
		mustPass(t, tr, false)
		if c := r.take(); len(c) > 0 {
			return fmt.Sprintf("still reported: %+v", c)
		}
		return ""
	})
}
