package rsync

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// modes are the kinds of far ends that a current rsync can be made to stand in for.
var modes = []struct {
	name string
	caps caps
}{
	{"current", allCaps},
	{"no missing args", caps{nanoseconds: true, skips: true}},
	{"seconds", caps{missingArgs: true, skips: true}},
	{"old", caps{}},
}

// diffOptions leaves out times where a far end does not compare parts of a second: directories and
// files whose content is the same keep theirs.
func diffOptions(c caps) tree.Options { return tree.Options{IgnoreTimes: !c.nanoseconds} }

func TestFullSync(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "a", "d/b", "d/e/", "#c", "sp ace")
	f.write(f.dst, "extra", "extra dir/x", "d/extra", "a/was a directory")
	res := f.sync(subtrees("")...)
	f.equal(tree.Options{})
	if res.Files < 4 || res.Deleted < 4 || res.Bytes == 0 {
		t.Errorf("counts: %+v", res)
	}
	if res := f.sync(subtrees("")...); res.Files != 0 || res.Deleted != 0 || res.Bytes != 0 {
		t.Errorf("counts of a sync with nothing to do: %+v", res)
	}
}

// After one Sync with what changed both trees are equal, whatever the far end can do.
func TestChurn(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(tree.Seeds(t, 2)) {
				f := local(t)
				f.force(mode.caps)
				churn(f, seed, tree.ChurnOptions{}, diffOptions(mode.caps))
			}
		})
	}
}

const churnRounds = 8

// churn changes the source at random and syncs what changed, round after round.
func churn(f *fixture, seed uint64, o tree.ChurnOptions, diff tree.Options) {
	f.t.Helper()
	c := tree.NewChurn(seed, f.src, o)
	c.LogOnFailure(f.t)
	c.Run(100)
	f.sync(subtrees("")...)
	f.equal(diff)
	rng := rand.New(rand.NewPCG(seed, 1))
	for round := range churnRounds {
		before := snap(f.t, f.src)
		c.Run(1 + rng.IntN(60))
		changes := paths(changed(before, snap(f.t, f.src))...)
		if len(changes) == 0 {
			continue
		}
		// Some as subtrees, as after a queue overflow.
		if round%3 == 2 {
			changes[rng.IntN(len(changes))].Scope = sdk.ScopeSubtree
		}
		// The root's attributes follow by themselves, but not if only they changed.
		f.sync(append(changes, sdk.Change{})...)
		f.equal(diff)
	}
}

func TestSameSizeWithinTheSameSecond(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			for _, changes := range [][]sdk.Change{paths("f"), subtrees("")} {
				f := local(t)
				f.force(mode.caps)
				f.write(f.src, "f")
				f.sync(subtrees("")...)
				info, err := os.Stat(filepath.Join(f.src, "f"))
				f.must(err)
				f.must(os.WriteFile(filepath.Join(f.src, "f"), []byte("CONTENT OF f"), 0o644))
				f.must(os.Chtimes(filepath.Join(f.src, "f"), info.ModTime(), info.ModTime().Add(1)))
				f.sync(changes...)
				f.equal(diffOptions(mode.caps))
			}
		})
	}
}

// A subtree is mirrored, and nothing beside it is touched.
func TestSubtree(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "d/new", "d/e/f", "#d/x", "beside/changed")
	f.write(f.dst, "d/extra/x", "d/e/extra", "#d/extra", "beside/extra", "extra")
	f.sync(subtrees("d", "#d", "gone")...)
	for p, want := range map[string]bool{
		"d/new": true, "d/e/f": true, "#d/x": true, "d/extra": false, "d/e/extra": false, "#d/extra": false,
		"beside/extra": true, "extra": true, "beside/changed": false,
	} {
		if f.exists(p) != want {
			t.Errorf("%s exists: %v, want %v", p, !want, want)
		}
	}
}

// A subtree that is gone, or no directory any more, is settled as a path.
func TestSubtreeThatIsNone(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		f := local(t)
		f.force(mode.caps)
		f.write(f.src, "file", "up")
		f.must(os.Symlink("file", filepath.Join(f.src, "link")))
		f.write(f.dst, "file/x/y", "gone/x/y", "link/x", "up/down/x")
		f.sync(subtrees("file", "gone", "link", "up/down")...)
		f.equal(diffOptions(mode.caps))
	}
}

// Listing a path never touches what lies beside it.
func TestPathsTouchNothingElse(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "d/a", "d/b", "d/sub/x", "top")
	f.write(f.dst, "d/extra", "d/sub/extra", "extra", "gone/x")
	f.sync(paths("d", "d/a", "d/sub", "gone")...)
	for p, want := range map[string]bool{
		"d/a": true, "d/b": false, "d/extra": true, "d/sub/extra": true, "d/sub/x": false, "extra": true,
		"top": false, "gone": false,
	} {
		if f.exists(p) != want {
			t.Errorf("%s exists: %v, want %v", p, !want, want)
		}
	}
}

func TestRootAttributes(t *testing.T) {
	t.Parallel()
	for _, patterns := range [][]string{nil, {"!", "+ *"}} {
		f := local(t)
		f.req.Exclude = patterns
		f.write(f.src, "a", "d/b")
		f.write(f.dst, "extra")
		f.must(os.Chmod(f.src, 0o711))
		f.sync(paths("")...)
		info, err := os.Stat(f.dst)
		f.must(err)
		if info.Mode().Perm() != 0o711 || f.exists("a") || !f.exists("extra") {
			t.Errorf("mode %v, a exists: %v, extra exists: %v", info.Mode(), f.exists("a"), f.exists("extra"))
		}
		f.sync(append(paths(""), subtrees("")...)...)
		f.equal(tree.Options{})
	}
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			f := local(t)
			f.force(mode.caps)
			names := tree.HostileNames()
			var all []string
			for _, name := range names {
				f.write(f.src, name+"/"+name)
				all = append(all, name, name+"/"+name)
			}
			f.sync(paths(all...)...)
			f.equal(diffOptions(mode.caps))
			for _, name := range names {
				f.must(os.RemoveAll(filepath.Join(f.src, name)))
			}
			f.sync(paths(all...)...)
			f.equal(diffOptions(mode.caps))
		})
	}
}

func TestLongPaths(t *testing.T) {
	t.Parallel()
	f := local(t)
	long := ""
	for range 20 {
		long = filepath.Join(long, fmt.Sprintf("%0200d", 7))
	}
	res, err := f.try(paths(long+"/"+fmt.Sprintf("%0200d", 7), "ok")...)
	if err != nil || len(res.Failed) != 1 {
		t.Errorf("a path that is too long: %s", describe(res, err))
	}
}

func TestDestinationIsCreatedOneLevel(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "a")
	f.must(os.Remove(f.dst))
	f.sync(paths("a")...)
	f.must(os.RemoveAll(f.dst))
	f.sync(subtrees("")...)
	f.equal(tree.Options{})
}

func TestSymlinkedRoots(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "d/a")
	f.write(f.dst, "gone")
	dir := t.TempDir()
	f.must(os.Symlink(f.src, filepath.Join(dir, "src")))
	f.must(os.Symlink(f.dst, filepath.Join(dir, "dst")))
	f.req.Source = filepath.Join(dir, "src")
	f.req.Destination.Path = filepath.Join(dir, "dst")
	f.sync(paths("d", "d/a", "gone")...)
	f.equal(tree.Options{})
	f.sync(subtrees("")...)
	f.equal(tree.Options{})
}

// A directory that became a symlink is not looked through, on neither side.
func TestSymlinkedParents(t *testing.T) {
	t.Parallel()
	f := local(t)
	outside := t.TempDir()
	f.write(outside, "x")
	f.must(os.Symlink(outside, filepath.Join(f.src, "d")))
	f.write(f.dst, "d/x", "d/y")
	f.sync(paths("d/x", "d/y")...)
	f.equal(tree.Options{})

	// The other way round: what the symlink at the destination leads to stays as it is.
	f.must(os.Remove(filepath.Join(f.src, "d")))
	f.write(f.src, "d/new")
	f.sync(paths("d/new", "d/x")...)
	f.equal(tree.Options{})
	if _, err := os.Stat(filepath.Join(outside, "x")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(outside, "new")); err == nil {
		t.Error("written through a symlink at the destination")
	}
}

func TestRootLost(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.dst, "keep")
	f.must(os.Remove(f.src))
	for _, changes := range [][]sdk.Change{paths("keep"), subtrees("")} {
		if _, err := f.try(changes...); !sdk.IsRootLost(err) {
			t.Errorf("without a source: %v", err)
		}
	}
	f.write(f.src+"x", "a")
	f.must(os.Rename(filepath.Join(f.src+"x", "a"), f.src))
	if _, err := f.try(paths("keep")...); !sdk.IsRootLost(err) {
		t.Errorf("with a file as the source: %v", err)
	}
	if !f.exists("keep") {
		t.Error("deleted while the source was lost")
	}
}

// A root that is replaced between two runs of a request is noticed.
func TestRootReplaced(t *testing.T) {
	t.Parallel()
	f := local(t)
	s, err := f.tr.open(f.req, nil)
	f.must(err)
	f.must(s.checkRoot())
	f.must(os.Rename(f.src, f.src+".old"))
	f.must(os.Mkdir(f.src, 0o755))
	if err := s.checkRoot(); !sdk.IsRootLost(err) {
		t.Errorf("got %v", err)
	}
}
