package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// used reports whether a standby was used to the end.
func (b *standby) used() bool {
	select {
	case <-b.process.Done():
		return b.process.Wait().OK()
	default:
		return false
	}
}

// A new directory goes to the rsync that waits, with all that is in it, and no other one is needed.
func TestNewDirectoryOnStandby(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f := d.make(t)
			f.req.MaxDelete = 100
			f.req.MaxSize = 1 << 20
			f.req.Exclude = []string{"*.skip", "/new/no/"}
			b := f.prime()
			f.write(f.src, "new/a/b/c/", "new/x.skip", "new/no/x", "beside")
			f.must(os.Symlink("nowhere", filepath.Join(f.src, "new/link")))
			for _, name := range tree.HostileNames() {
				f.write(f.src, "new/a/"+name)
			}
			runs := f.countRuns()
			res := f.sync(append(subtrees("new"), paths("beside")...)...)
			if !b.used() {
				t.Error("the standby was not used")
			}
			if n := runs(); n > 1 { // the next standby, which may be just starting
				t.Errorf("%d more runs", n)
			}
			if want := uint64(3 + len(tree.HostileNames())); res.Created < want || res.Deleted != 0 || len(res.Large) > 0 {
				t.Errorf("%+v", res)
			}
			f.must(os.RemoveAll(filepath.Join(f.src, "new/no")))
			f.must(os.Remove(filepath.Join(f.src, "new/x.skip")))
			f.sync(paths("new")...) // for its time
			f.equal(tree.Options{})
		})
	}
}

// What the destination had there before goes, also when most of the directory was new.
func TestUnfoldedAndOld(t *testing.T) {
	t.Parallel()
	for _, maxDelete := range []uint64{0, 10} {
		f := local(t)
		f.req.MaxDelete = maxDelete
		f.prime()
		f.write(f.src, "old/new/x", "old/x", "new/x")
		f.write(f.dst, "old/gone/x", "old/x/y")
		f.must(os.Symlink(f.dst, filepath.Join(f.dst, "link")))
		f.write(f.src, "link/x", "kind/x")
		f.must(os.WriteFile(filepath.Join(f.dst, "kind"), nil, 0o644))
		f.sync(subtrees("old", "new", "link", "kind")...)
		f.equal(tree.Options{})
	}
}

// A directory above a new one, which the destination has lost, is compared with all that was in it.
func TestUnfoldedBelowLost(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "lost/file")
	f.sync(subtrees("")...)
	f.must(os.RemoveAll(filepath.Join(f.dst, "lost")))
	f.write(f.src, "lost/new/x")
	f.sync(subtrees("lost/new")...)
	f.equal(tree.Options{})
}

// What cannot be sent of a new directory is named, and all else arrives.
func TestUnfoldedUnreadable(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.config().Args = []string{"--no-owner", "--no-group"}
	f.write(f.src, "new/ok", "new/secret", "new/d/ok")
	f.must(os.Chmod(filepath.Join(f.src, "new/secret"), 0))
	f.open()
	f.unprivileged()
	res, err := f.try(subtrees("new")...)
	if list, _ := failedPaths(res); err != nil || !cmp.Equal(list, []string{"new/secret"}) || !f.exists("new/ok") || !f.exists("new/d/ok") {
		t.Error(describe(res, err))
	}
}

// Subtrees with a large file, or with much in them, are compared: only what differs is named and sent.
func TestNotUnfolded(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.req.MaxSize = 1000
	f.write(f.src, "large/x", "other/x")
	for i := range maxUnfolded {
		f.write(f.src, fmt.Sprint("many/", i))
	}
	f.must(os.WriteFile(filepath.Join(f.src, "large/file"), make([]byte, 1001), 0o644))
	for _, at := range []string{"large", "many"} {
		s, err := f.tr.open(f.req, nil)
		f.must(err)
		w := work{trees: []string{at, "other"}}
		if got := s.unfold(w); got.entries != nil || !slices.Equal(got.trees, w.trees) {
			t.Errorf("%s: %d entries", at, len(got.entries))
		}
	}
	if res := f.sync(subtrees("large", "many", "other")...); !cmp.Equal(res.Large, []string{"large/file"}) {
		t.Errorf("%+v", res)
	}
	f.req.MaxSize = 0
	f.sync(paths("large/file")...)
	f.equal(tree.Options{})
	f.req.MaxSize = 1000
	f.write(f.src, "large/y")
	if res := f.sync(subtrees("large")...); len(res.Large) > 0 {
		t.Errorf("%q is as it was", res.Large)
	}
}

// A directory that was removed goes in one run when the changes tell what was in it.
func TestRemovedDirectoryIsOneRun(t *testing.T) {
	t.Parallel()
	for _, maxDelete := range []uint64{0, 8} {
		f := local(t)
		f.req.MaxDelete = maxDelete
		f.config().Standby = 0
		f.force(allCaps)
		f.write(f.src, "d/e/1", "d/e/2", "keep")
		f.sync(subtrees("")...)
		f.must(os.RemoveAll(filepath.Join(f.src, "d")))
		runs := f.countRuns()
		if res := f.sync(paths("d/e/1", "d/e/2")...); res.Deleted != 4 {
			t.Errorf("%+v", res)
		}
		if n := runs(); n != 1 {
			t.Errorf("%d runs", n)
		}
		f.equal(tree.Options{})
	}
}

// When much more was in it than the changes tell, it is counted first, as ever.
func TestRemovedDirectoryHeldMore(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.req.MaxDelete = 12
	f.write(f.src, "d/1", "keep")
	f.sync(subtrees("")...)
	for i := range 20 {
		f.write(f.dst, fmt.Sprint("d/more/", i))
	}
	f.must(os.RemoveAll(filepath.Join(f.src, "d")))
	// d and d/1 are told: up to 4 entries go before the others are counted, which is more than what is left.
	res := f.sync(paths("d", "d/1")...)
	if res.Deleted > 4 || res.Deleted+res.Withheld.Count != 23 {
		t.Errorf("%+v", res)
	}
	f.req.MaxDelete = 23
	f.sync(paths("d", "d/1")...)
	f.equal(tree.Options{})
}

// The count of what changes tell holds each entry once.
func TestTold(t *testing.T) {
	e := entry{path: "a", state: stateGone, owners: []string{"a/b/c/1", "a/b/2", "a/b", "a/3"}}
	if n := e.told(); n != 6 {
		t.Errorf("%d entries, want a, a/3, a/b, a/b/2, a/b/c and a/b/c/1", n)
	}
}
