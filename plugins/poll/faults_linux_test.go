package poll

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
)

// isOpen reports whether f is open on the directory at path.
func isOpen(t *testing.T, f folder, path string) bool {
	var a, b unix.Stat_t
	watchertest.Must(t, unix.Fstat(f.fd, &a))
	return unix.Stat(path, &b) == nil && a.Ino == b.Ino && a.Dev == b.Dev
}

// TestListingFails: a listing that fails, at once or half way, says nothing about what is there.
func TestListingFails(t *testing.T) {
	for _, light := range []bool{false, true} {
		for i, fault := range []error{unix.EIO, unix.ESTALE, unix.ENOTCONN, unix.ENOMEM} {
			at := []string{"d", "d/e"}[i%2]
			a := watchertest.NewArea(t)
			a.Mkdir("d/e", "d/s/deep")
			a.Write("d/e/f", "d/e/g", "d/e/h", "d/x", "d/y", "d/z", "o")
			tr, r := mustTree(t, a.Root)
			settle(t, tr, r)
			tr.hotFor = -time.Hour // all files are cold
			tr.system.list = func(f folder, buf []byte, add func([]byte, uint16)) error {
				if !isOpen(t, f, a.Path(at)) {
					return f.list(buf, add)
				}
				n := 0
				watchertest.Must(t, f.list(buf, func(name []byte, mode uint16) {
					if n++; n < 3 {
						add(name, mode)
					}
				}))
				return fault
			}
			for i := range 3 {
				o := mustPass(t, tr, light && i > 0)
				if !slices.Equal(o.unwatched, []string{at}) || !strings.Contains(o.reason, fault.Error()) || !o.complete {
					t.Errorf("%v: %+v", fault, o)
				}
				quiet(t, r.take())
			}
			tr.system = kernel
			if o := mustPass(t, tr, light); len(o.unwatched) != 0 {
				t.Errorf("%v: %+v", fault, o)
			}
			named(t, r.take(), at, sdk.ScopeSubtree)
			settle(t, tr, r)
		}
	}
}

// TestListingLeavesOut: what a listing does not name is there all the same when it can be looked at.
func TestListingLeavesOut(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d/e")
	a.Write("d/e/f", "d/x", "d/y")
	tr, r := mustTree(t, a.Root)
	settle(t, tr, r)
	tr.system.list = func(f folder, buf []byte, add func([]byte, uint16)) error {
		return f.list(buf, func(name []byte, mode uint16) {
			if string(name) != "x" && string(name) != "e" {
				add(name, mode)
			}
		})
	}
	mustPass(t, tr, false)
	quiet(t, r.take())
	a.Write("d/x", "d/e/f")
	a.Remove("d/y")
	mustPass(t, tr, false)
	changes := r.take()
	named(t, changes, "d/x", sdk.ScopePath)
	named(t, changes, "d/e/f", sdk.ScopePath)
	named(t, changes, "d/y", sdk.ScopePath)
	settle(t, tr, r)
	tr.system = kernel
	mustPass(t, tr, false)
	quiet(t, r.take())
}

// TestLookFails: an entry that cannot be looked at is unknown, and its neighbours are not.
func TestLookFails(t *testing.T) {
	for _, light := range []bool{false, true} {
		for _, fault := range []error{unix.EIO, unix.ESTALE, unix.EACCES} {
			a := watchertest.NewArea(t)
			a.Mkdir("d/sub/deep", "d/other")
			a.Write("d/x", "d/y", "d/sub/deep/f", "d/other/f", "d/later")
			failing := []string{"x", "sub", "later"}
			broken := kernel
			broken.look = func(f folder, name []byte, e *entry, fresh bool) error {
				if slices.Contains(failing, string(bytes.TrimRight(name, "\x00"))) {
					return fault
				}
				return f.look(name, e, fresh)
			}
			a.Remove("d/later")
			tr, r := mustTree(t, a.Root)
			settle(t, tr, r)
			tr.system = broken
			a.Write("d/later", "d/x", "d/sub/deep/f", "d/y")
			for range 3 {
				o := mustPass(t, tr, light)
				if want := []string{"d/later", "d/sub", "d/x"}; !slices.Equal(o.unwatched, want) || o.reason == "" {
					t.Errorf("%v: unwatched %q %q, want %q", fault, o.unwatched, o.reason, want)
				}
				quiet(t, r.take(), "d", "d/y")
			}
			a.Write("d/other/f")
			mustPass(t, tr, light)
			named(t, r.take(), "d/other/f", sdk.ScopePath)
			a.Remove("d/x")
			failing = []string{"sub", "later"}
			mustPass(t, tr, light)
			named(t, r.take(), "d/x", sdk.ScopePath)
			tr.system = kernel
			if o := mustPass(t, tr, light); len(o.unwatched) != 0 {
				t.Errorf("%v: unwatched %q", fault, o.unwatched)
			}
			changes := r.take()
			named(t, changes, "d/sub", sdk.ScopeSubtree)
			named(t, changes, "d/later", sdk.ScopeSubtree)
			settle(t, tr, r)
			a.Write("d/later", "d/sub/deep/f")
			mustPass(t, tr, light)
			changes = r.take()
			named(t, changes, "d/later", sdk.ScopePath)
			named(t, changes, "d/sub/deep/f", sdk.ScopePath)
		}
	}
}

// TestVanishing: a directory that is gone when it is to be read, and back in the next pass, was never
// removed, and is compared.
func TestVanishing(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d/e")
	a.Write("d/e/f", "d/x")
	tr, r := mustTree(t, a.Root)
	settle(t, tr, r)
	tr.system.list = func(f folder, buf []byte, add func([]byte, uint16)) error {
		if isOpen(t, f, a.Path("d")) {
			return unix.ENOENT
		}
		return f.list(buf, add)
	}
	if o := mustPass(t, tr, false); len(o.unwatched) != 0 {
		t.Errorf("unwatched %q in the moment it vanishes", o.unwatched)
	}
	if o := mustPass(t, tr, false); !slices.Equal(o.unwatched, []string{"d"}) {
		t.Errorf("unwatched %q when it stays away", o.unwatched)
	}
	quiet(t, r.take())
	tr.system = kernel
	mustPass(t, tr, true)
	named(t, r.take(), "d", sdk.ScopeSubtree)
	settle(t, tr, r)
}

// TestRootFails: a root that cannot be looked at for a while is unknown.
func TestRootFails(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	tr, r := mustTree(t, a.Root)
	settle(t, tr, r)
	tr.system.look = func(f folder, name []byte, e *entry, fresh bool) error { return unix.ESTALE }
	for range 2 {
		if o := mustPass(t, tr, false); o.complete || !slices.Equal(o.unwatched, []string{""}) || !strings.Contains(o.reason, "stale") {
			t.Errorf("%+v", o)
		}
	}
	quiet(t, r.take())
	tr.system = kernel
	if o := mustPass(t, tr, true); !o.complete || len(o.unwatched) != 0 {
		t.Errorf("%+v", o)
	}
	named(t, r.take(), "", sdk.ScopeSubtree)
}

// TestRootFailsMeanwhile: when it is not known at the end whether the root is still the root, what was
// found missing is not reported as removed, but compared later.
func TestRootFailsMeanwhile(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d", "e")
	tr, r := mustTree(t, a.Root)
	settle(t, tr, r)
	a.Remove("d")
	looks := 0
	tr.system.look = func(f folder, name []byte, e *entry, fresh bool) error {
		if len(name) == 1 && isOpen(t, f, a.Root) {
			if looks++; looks > 1 {
				return unix.EIO
			}
		}
		return f.look(name, e, fresh)
	}
	if o := mustPass(t, tr, false); o.complete || !slices.Equal(o.unwatched, []string{""}) || looks != 2 {
		t.Errorf("%+v after %d looks", o, looks)
	}
	quiet(t, r.take(), "")
	tr.system = kernel
	mustPass(t, tr, false)
	named(t, r.take(), "", sdk.ScopeSubtree)
}

// TestRootLostMeanwhile: when the root is lost while it is read, what was found missing is not reported.
func TestRootLostMeanwhile(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("root/d", "root/e")
	a.Write("root/d/x")
	tr, r := mustTree(t, a.Path("root"))
	settle(t, tr, r)
	a.Remove("root/e")
	tr.system.list = func(f folder, buf []byte, add func([]byte, uint16)) error {
		if isOpen(t, f, a.Path("root/d")) {
			a.Move("root", "old")
			a.Mkdir("root")
			a.Remove("old/d/x")
		}
		return f.list(buf, add)
	}
	if o, err := tr.pass(t.Context(), false); !sdk.IsRootLost(err) {
		t.Errorf("got %+v, %v", o, err)
	}
	for _, c := range r.take() {
		if c.Ops&sdk.OpRemove != 0 || c.Scope == sdk.ScopeSubtree {
			t.Errorf("%+v is reported", c)
		}
	}
}

// TestRemote: where a server's clock makes the times, every change is reported again until no other can
// hide behind it, and nothing else is; and the server is asked each time.
func TestRemote(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	a.Write("d/x", "d/y")
	far := kernel
	far.remote = func(folder) bool { return true }
	asked := true
	far.look = func(f folder, name []byte, e *entry, fresh bool) error {
		if len(name) > 1 && !fresh {
			asked = false
		}
		err := f.look(name, e, fresh)
		e.ctime -= 1e18 // a clock that is far behind
		e.mtime -= 1e18
		return err
	}
	tr, r := mustTree(t, a.Root)
	tr.top, tr.system = nil, far
	mustPass(t, tr, false)
	mustPass(t, tr, false)
	quiet(t, r.take())
	watchertest.Must(t, os.WriteFile(a.Path("d/x"), []byte("new"), 0o644))
	for range 2 {
		mustPass(t, tr, false)
		changes := r.take()
		named(t, changes, "d/x", sdk.ScopePath)
		quiet(t, changes, "d/x")
	}
	settle(t, tr, r)
	if !asked {
		t.Error("something was looked at in a cache")
	}
}

// TestCancel: a pass ends soon when it is told to, and leaves nothing open.
func TestCancel(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	a.Mkdir("a/b/c", "d/e/f", "g/h")
	listed := make(chan struct{})
	tr := newTree(a.Root, nil, nil, newRecorder())
	w := watch{pass: tr.pass, progress: tr.progress.Load, reporter: tr.reporter, pace: pace{interval: minInterval, load: 1}}
	tr.system.list = func(f folder, buf []byte, add func([]byte, uint16)) error {
		<-listed
		return f.list(buf, add)
	}
	b := begin(t, a.Root, rarely())
	watchertest.Must(t, b.end())
	ended := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- w.run(ctx) }()
	cancel()
	close(listed)
	watchertest.Must(t, <-ended)
	select {
	case <-tr.reporter.(*recorder).ready:
		t.Error("ready, although the first pass was broken off")
	default:
	}
}
