package poll

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
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
			a := watchertest.NewArea(t)
			a.Mkdir("d/e/f", "o")
			a.Write("d/e/f/x", "d/y", "o/z")
			tr, r := mustTree(t, a.Root)
			settle(t, tr, r)

			for _, mode := range []os.FileMode{0, 0o444, 0o111} {
				watchertest.Must(t, os.Chmod(a.Path("d"), mode))
				for range 2 {
					o := mustPass(t, tr, light)
					if !slices.Equal(o.unwatched, []string{"d"}) || !strings.Contains(o.reason, "must be allowed") || !o.complete {
						t.Fatalf("mode %v: unwatched %q %q", mode, o.unwatched, o.reason)
					}
					quiet(t, r.take(), "d")
				}
				watchertest.Must(t, os.Chmod(a.Path("d"), 0o755))
				a.Remove("d/y")
				a.Write("d/e/f/x2")
				if o := mustPass(t, tr, light); len(o.unwatched) != 0 || o.reason != "" {
					t.Errorf("still unwatched: %q %q", o.unwatched, o.reason)
				}
				named(t, r.take(), "d", sdk.ScopeSubtree)
				settle(t, tr, r)
				a.Write("d/y", "d/e/f/x")
				mustPass(t, tr, light)
				changes := r.take()
				named(t, changes, "d/y", sdk.ScopePath)
				named(t, changes, "d/e/f/x", sdk.ScopePath)
				settle(t, tr, r)
			}

			// Gone while it could not be read.
			watchertest.Must(t, os.Chmod(a.Path("d"), 0))
			mustPass(t, tr, light)
			a.Move("d", "n")
			r.take()
			if o := mustPass(t, tr, light); !slices.Equal(o.unwatched, []string{"n"}) {
				t.Errorf("unwatched %q", o.unwatched)
			}
			named(t, r.take(), "d", sdk.ScopePath)
			watchertest.Must(t, os.Chmod(a.Path("n"), 0o755))
		})
	}
}

// TestUnreadableAtFirst: what could not be read when the watch began is found later.
func TestUnreadableAtFirst(t *testing.T) {
	if !isolate.Run(t, isolate.Nobody) {
		return
	}
	a := watchertest.NewArea(t)
	a.Mkdir("d/e")
	a.Write("d/e/x")
	watchertest.Must(t, os.Chmod(a.Path("d"), 0))
	w := start(t, a.Root, rarely())
	w.prove()
	if paths, reason := w.unwatched(); !slices.Equal(paths, []string{"d"}) || reason == "" {
		t.Errorf("unwatched %q %q", paths, reason)
	}
	watchertest.Must(t, os.Chmod(a.Path("d"), 0o755))
	named(t, w.after(), "d", sdk.ScopeSubtree)
	if paths, _ := w.unwatched(); len(paths) != 0 {
		t.Errorf("unwatched %q", paths)
	}
	// The root itself.
	watchertest.Must(t, os.Chmod(a.Root, 0))
	b := begin(t, a.Root, rarely())
	if err := b.wait(); !sdk.IsMisconfigured(err) {
		t.Errorf("a root that cannot be read: %v", err)
	}
	watchertest.Must(t, os.Chmod(a.Root, 0o755))
}

// TestRootUnreadable: a root that cannot be read for a while is unknown, and compared afterwards.
func TestRootUnreadable(t *testing.T) {
	if !isolate.Run(t, isolate.Nobody) {
		return
	}
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	a.Write("d/x")
	tr, r := mustTree(t, a.Root)
	settle(t, tr, r)
	for _, mode := range []os.FileMode{0, 0o444} {
		watchertest.Must(t, os.Chmod(a.Root, mode))
		o := mustPass(t, tr, false)
		if !slices.Equal(o.unwatched, []string{""}) || o.complete {
			t.Errorf("mode %v: %+v", mode, o)
		}
		quiet(t, r.take(), "")
		watchertest.Must(t, os.Chmod(a.Root, 0o755))
		if o = mustPass(t, tr, false); len(o.unwatched) != 0 || !o.complete {
			t.Errorf("after mode %v: %+v", mode, o)
		}
		named(t, r.take(), "", sdk.ScopeSubtree)
		settle(t, tr, r)
	}
}

// TestRootLost: nothing is reported when the root is no longer what it was.
func TestRootLost(t *testing.T) {
	for name, lose := range map[string]func(a watchertest.Area, root string){
		"removed":  func(a watchertest.Area, root string) { a.Remove("root") },
		"renamed":  func(a watchertest.Area, root string) { a.Move("root", "other") },
		"replaced": func(a watchertest.Area, root string) { a.Move("root", "other"); a.Mkdir("root") },
		"a file":   func(a watchertest.Area, root string) { a.Remove("root"); a.Write("root") },
		"a dangling link": func(a watchertest.Area, root string) {
			a.Remove("root")
			watchertest.Must(a.T, os.Symlink("nowhere", root))
		},
		"a link to itself": func(a watchertest.Area, root string) {
			a.Remove("root")
			watchertest.Must(a.T, os.Symlink("root", root))
		},
		"a link to another": func(a watchertest.Area, root string) {
			a.Remove("root")
			watchertest.Must(a.T, os.Symlink(a.Out, root))
		},
		"the parent is gone": func(a watchertest.Area, root string) {
			watchertest.Must(a.T, os.Rename(a.Root, a.Out+"/moved"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			watchertest.LeakCheck(t)
			a := watchertest.NewArea(t)
			a.Mkdir("root/d")
			a.Write("root/d/x", "root/y")
			w := start(t, a.Path("root"), rarely())
			w.rest()
			lose(a, a.Path("root"))
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
		a := watchertest.NewArea(t)
		a.Mkdir("one", "two")
		watchertest.Must(t, os.Symlink("one", a.Path("root")))
		w := start(t, a.Path("root"), rarely())
		a.Write("one/x")
		named(t, w.after(), "x", sdk.ScopePath)
		a.Remove("root")
		watchertest.Must(t, os.Symlink("two", a.Path("root")))
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
		a := watchertest.NewArea(t)
		t.Cleanup(func() { unmountAll(a.Path("m")) })
		a.Mkdir("m/covered/x", "src/in")
		a.Write("m/covered/f", "src/in/f")
		tr, r := mustTree(t, a.Root)
		settle(t, tr, r)
		step := func(name string, do func()) {
			t.Helper()
			do()
			mustPass(t, tr, light)
			changes := r.take()
			named(t, changes, "m", sdk.ScopeSubtree)
			quiet(t, changes, "m")
			settle(t, tr, r)
			a.Write("m/new")
			mustPass(t, tr, light)
			named(t, r.take(), "m/new", sdk.ScopePath)
			a.Remove("m/new")
			settle(t, tr, r)
			if t.Failed() {
				t.Fatal(name)
			}
		}
		step("mounted", func() { watchertest.Must(t, unix.Mount("none", a.Path("m"), "tmpfs", 0, "")) })
		step("mounted over", func() { watchertest.Must(t, unix.Mount("none", a.Path("m"), "tmpfs", 0, "")) })
		step("unmounted one", func() { watchertest.Must(t, unix.Unmount(a.Path("m"), 0)) })
		step("unmounted", func() { watchertest.Must(t, unix.Unmount(a.Path("m"), 0)) })
		step("bound", func() { watchertest.Must(t, unix.Mount(a.Path("src"), a.Path("m"), "", unix.MS_BIND, "")) })
		step("unbound", func() { watchertest.Must(t, unix.Unmount(a.Path("m"), unix.MNT_DETACH)) })
	}

	t.Run("mounted while it is looked for", func(t *testing.T) {
		a := watchertest.NewArea(t)
		t.Cleanup(func() { unmountAll(a.Path("m")) })
		a.Mkdir("m/d")
		a.Write("m/f")
		tr, r := mustTree(t, a.Root)
		settle(t, tr, r)
		tr.system.look = func(f folder, name []byte, e *entry, fresh bool) error {
			err := f.look(name, e, fresh)
			if string(name) == "m\x00" {
				watchertest.Must(t, unix.Mount("none", a.Path("m"), "tmpfs", 0, ""))
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
		a := watchertest.NewArea(t)
		t.Cleanup(func() { unmountAll(a.Path("m")) })
		a.Mkdir("m/d", "m/beside")
		a.Write("m/d/f")
		w := watchOnly(a, "m/d")
		for _, change := range []func(){
			func() { watchertest.Must(t, unix.Mount("none", a.Path("m"), "tmpfs", 0, "")) },
			func() { watchertest.Must(t, unix.Unmount(a.Path("m"), 0)) },
		} {
			change()
			if changes := w.after(); !covered(a.Root, "m/d/f", changes) {
				t.Errorf("%+v", changes)
			}
			w.rest()
		}
		a.Write("m/d/f", "m/beside/f")
		changes := w.after()
		named(t, changes, "m/d/f", sdk.ScopePath)
		quiet(t, changes, "m/d/f")
	})

	t.Run("from a server", func(t *testing.T) {
		a := watchertest.NewArea(t)
		t.Cleanup(func() { unmountAll(a.Path("m")) })
		a.Mkdir("m")
		watchertest.Must(t, unix.Mount("none", a.Path("m"), "tmpfs", 0, ""))
		tr := newTree(a.Root, nil, nil, newRecorder())
		var mounted unix.Stat_t
		watchertest.Must(t, unix.Stat(a.Path("m"), &mounted))
		tr.system.remote = func(f folder) bool {
			var st unix.Stat_t
			watchertest.Must(t, unix.Fstat(f.fd, &st))
			return st.Dev == mounted.Dev
		}
		for pass, want := range []int{workers(false), workers(true)} {
			p := newPass(t.Context(), tr, false)
			root, err := openRoot(a.Root)
			watchertest.Must(t, err)
			watchertest.Must(t, p.begin(root))
			root.close()
			if cap(p.spare) != want {
				t.Errorf("pass %d: %d at once, want %d", pass, cap(p.spare), want)
			}
			mustPass(t, tr, false)
		}
	})

	for name, change := range map[string]func(dir string){
		"mounted over":       func(dir string) { watchertest.Must(t, unix.Mount("none", dir, "tmpfs", 0, "")) },
		"unmounted":          func(dir string) { watchertest.Must(t, unix.Unmount(dir, 0)) },
		"unmounted lazily":   func(dir string) { watchertest.Must(t, unix.Unmount(dir, unix.MNT_DETACH)) },
		"bind mount over it": func(dir string) { watchertest.Must(t, unix.Mount("/proc", dir, "", unix.MS_BIND, "")) },
	} {
		dir := t.TempDir()
		t.Cleanup(func() { unmountAll(dir) })
		watchertest.Must(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		watchertest.Must(t, os.MkdirAll(dir+"/d/e", 0o755))
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

func TestMountsBeforeBarrier(t *testing.T) {
	if isolate.Run(t, isolate.OwnMounts) {
		watchertest.MountsBeforeBarrier(t, watchRarely)
	}
}
