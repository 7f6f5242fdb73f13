package rsync

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// limited returns a local fixture whose requests leave out files of more than 600 bytes.
func limited(t testing.TB) *fixture {
	f := local(t)
	f.req.MaxSize = 600
	return f
}

// big makes large files.
func (f *fixture) big(root string, names ...string) {
	f.t.Helper()
	for _, name := range names {
		p := filepath.Join(root, name)
		f.must(os.MkdirAll(filepath.Dir(p), 0o755))
		f.must(os.WriteFile(p, []byte(strings.Repeat(name, 1+600/len(name))), 0o644))
	}
}

// beside sends paths as a call beside others does.
func (f *fixture) beside(paths ...string) sdk.Result {
	f.t.Helper()
	before := f.req
	defer func() { f.req = before }()
	f.req.MaxSize, f.req.Beside, f.req.MaxDelete = 0, true, 1
	var changes []sdk.Change
	for _, p := range paths {
		changes = append(changes, sdk.Change{Path: p})
	}
	return f.sync(changes...)
}

var oddLarge = []string{
	" ", "-x", "#a", ";a", "a\nb", "a*b", "a?[b]", `a\b`, `a"'b`, "tab\t", "\xff\xfe", "trailing ", strings.Repeat("n", 255),
	">f+++++++++|1|1|x", "x is over max-size", "d/.hidden", `d/\#012`,
}

// What is too large is named and left out, whether it is in a list or found by a comparison, and whatever its name is.
func TestLargeFilesAreLeftOut(t *testing.T) {
	for _, how := range []struct {
		name    string
		changes []sdk.Change
	}{
		{"list", append(paths(oddLarge...), paths("small", "d", "d/small is over max-size")...)},
		{"everything", subtrees("")},
		{"subtrees", append(paths(oddLarge[:len(oddLarge)-2]...), append(subtrees("d"), paths("small")...)...)},
	} {
		t.Run(how.name, func(t *testing.T) {
			f := limited(t)
			f.write(f.src, "small", "d/small is over max-size")
			f.big(f.src, oddLarge...)
			res := f.sync(how.changes...)
			want := slices.Sorted(slices.Values(oddLarge))
			if diff := cmp.Diff(want, res.Large); diff != "" {
				t.Fatalf("left out (-want +got):\n%s", diff)
			}
			for _, p := range oddLarge {
				if f.exists(p) {
					t.Errorf("%q was sent", p)
				}
			}
			if !f.exists("small") || !f.exists("d/small is over max-size") {
				t.Error("a small file was not sent")
			}
			for _, p := range oddLarge {
				f.beside(p)
			}
			f.sync(paths("d", "")...)
			f.equal(tree.Options{})
			// A comparison does not name what is the same.
			if res := f.sync(subtrees("")...); len(res.Large) > 0 {
				t.Errorf("%q are the same and named", res.Large)
			}
			f.equal(tree.Options{})
		})
	}
}

// A large file is not taken for gone, and one that has really gone is deleted.
func TestLargeFilesAreNotDeleted(t *testing.T) {
	f := limited(t)
	f.big(f.src, "d/stays", "d/goes")
	f.write(f.src, "d/small")
	f.big(f.dst, "d/stays", "d/goes", "d/extra")
	before := stamp(filepath.Join(f.dst, "d/stays"))
	f.must(os.Remove(filepath.Join(f.src, "d/goes")))
	if res := f.sync(subtrees("")...); !slices.Equal(res.Large, []string{"d/stays"}) || res.Deleted != 2 {
		t.Errorf("left out %q, deleted %d, want d/stays and 2", res.Large, res.Deleted)
	}
	if stamp(filepath.Join(f.dst, "d/stays")) != before {
		t.Error("the large file at the destination has changed")
	}
	if f.exists("d/goes") || f.exists("d/extra") || !f.exists("d/small") {
		t.Error("the rest is not in step")
	}
}

// Where the far end cannot name what it leaves out, and where there are too many to name, they are sent.
func TestLargeFilesThatCannotBeNamedAreSent(t *testing.T) {
	t.Run("old far end", func(t *testing.T) {
		f := limited(t)
		f.force(caps{})
		f.big(f.src, "a", "d/b")
		if res := f.sync(subtrees("")...); len(res.Large) > 0 {
			t.Errorf("%q are named", res.Large)
		}
		f.equal(diffOptions(caps{}))
	})
	t.Run("too many", func(t *testing.T) {
		for _, listed := range []bool{true, false} {
			changes := subtrees("")
			if listed {
				changes = nil
			}
			f := limited(t)
			for i := range maxLarge + 20 {
				name := filepath.Join("d", strings.Repeat("x", 3+i/100), strings.Repeat("y", 1+i%100))
				f.big(f.src, name)
				f.must(os.MkdirAll(filepath.Dir(filepath.Join(f.dst, name)), 0o755))
				if listed {
					changes = append(changes, sdk.Change{Path: name})
				}
			}
			res := f.sync(changes...)
			if len(res.Large) != maxLarge {
				t.Fatalf("%d are named", len(res.Large))
			}
			sent := 0
			named := map[string]bool{}
			for _, p := range res.Large {
				named[p] = true
			}
			for p := range snap(t, f.dst) {
				if named[p] {
					t.Fatalf("%s is named and was sent", p)
				}
				if info, err := os.Stat(filepath.Join(f.dst, p)); err == nil && info.Mode().IsRegular() {
					sent++
				}
			}
			if sent != 20 {
				t.Errorf("%d were sent, want 20", sent)
			}
		}
	})
}

// A large file that the destination has renamed is named if it differs, or may.
func TestRenamedLarge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		do    func(f *fixture)
		ops   sdk.Op
		named []string
	}{
		{"renamed", func(*fixture) {}, 0, nil},
		{"and written", func(f *fixture) { f.rewrite("g", strings.Repeat("x", 603)) }, sdk.OpWrite, []string{"g"}},
		{"and its mode changed", func(f *fixture) { f.must(os.Chmod(filepath.Join(f.src, "g"), 0o600)) }, sdk.OpAttrib, []string{"g"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := limited(t)
			f.tr.minRename = 0
			f.big(f.src, "f")
			f.req.MaxSize = 0
			f.sync(subtrees("")...)
			f.req.MaxSize = 600
			f.must(os.Rename(filepath.Join(f.src, "f"), filepath.Join(f.src, "g")))
			tt.do(f)
			changes := []sdk.Change{{Path: "f", Ops: sdk.OpRemove | sdk.OpRename}, {Path: "g", Ops: sdk.OpCreate | sdk.OpRename | tt.ops, From: "f"}}
			if res := f.sync(changes...); !slices.Equal(res.Large, tt.named) {
				t.Errorf("%q, want %q", res.Large, tt.named)
			}
			if _, err := os.Stat(filepath.Join(f.dst, "g")); err != nil {
				t.Error(err)
			}
			f.req.MaxSize, f.req.Beside = 0, true
			f.sync(changes[1:]...)
			f.equal(tree.Options{})
		})
	}
}

// What another call is at work on is neither changed nor deleted, nor are its temporary files.
func TestBusyPathsAreLeftAlone(t *testing.T) {
	for _, name := range append(oddLarge, "d/e/f") {
		for _, changes := range [][]sdk.Change{subtrees(""), paths(name, "gone"), append(subtrees("gone"), paths(name+"/x", "other")...)} {
			f := limited(t)
			f.req.Busy = []string{name}
			f.write(f.src, "other", name+"/x")
			f.big(f.dst, name)
			base := strings.TrimPrefix(filepath.Base(name), ".")
			temp := filepath.Join(filepath.Dir(name), "."+base[:min(len(base), 247)]+".a1B2c3")
			f.write(f.dst, temp, "gone")
			f.again(changes...)
			info, err := os.Lstat(filepath.Join(f.dst, name))
			if err != nil || !info.Mode().IsRegular() {
				t.Errorf("%q, %v: what is busy was changed: %v", name, changes, err)
			}
			if !f.exists(temp) {
				t.Errorf("%q, %v: the temporary file is gone", name, changes)
			}
			if f.exists("gone") {
				t.Errorf("%q, %v: what is beside was not deleted", name, changes)
			}
			// It was only put off.
			f.req.Busy = nil
			f.again(append(paths(name), subtrees("")...)...)
			f.equal(tree.Options{})
		}
	}
}

// A directory above what is busy stays as long as that.
func TestBusyBelowWhatIsGone(t *testing.T) {
	f := limited(t)
	f.req.Busy = []string{"d/e/big"}
	f.write(f.src, "other")
	f.write(f.dst, "d/e/.big.a1B2c3", "d/x", "d/e/x")
	if _, err := f.try(paths("d", "other")...); err != nil {
		t.Fatal(err)
	}
	if !f.exists("d/e/.big.a1B2c3") || f.exists("d/x") || f.exists("d/e/x") {
		t.Errorf("wrong at the destination: %q", changed(snapshot{}, snap(t, f.dst)))
	}
	f.req.Busy = nil
	f.sync(paths("d/e/big")...)
	if f.exists("d") {
		t.Error("the directory is still there")
	}
}

// A dry run tells of what is busy, but not of its temporary files.
func TestDryRunLooksAtWhatIsBusy(t *testing.T) {
	f := limited(t)
	f.req.Busy, f.req.DryRun, f.req.List = []string{"d/big"}, true, true
	f.big(f.src, "d/big", "other")
	f.write(f.dst, "d/.big.a1B2c3", "extra")
	f.must(os.Chtimes(filepath.Join(f.dst, "d"), time.Time{}, time.Unix(1e9, 0))) // not by chance the same
	req := f.req
	req.Changes = subtrees("")
	var list []string
	res, err := f.tr.Sync(t.Context(), req, func(p sdk.Progress) {
		for _, d := range p.Differences {
			list = append(list, d.Path)
		}
	})
	if err != nil || len(res.Failed)+len(res.Large) > 0 {
		t.Fatal(describe(res, err), res.Large)
	}
	slices.Sort(list)
	if diff := cmp.Diff([]string{"", "d", "d/big", "extra", "other"}, slices.Compact(list)); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

// A call beside others touches nothing but its paths.
func TestBesideTouchesNothingElse(t *testing.T) {
	t.Run("leftovers", func(t *testing.T) {
		f := local(t)
		f.big(f.src, "d/big")
		f.write(f.dst, "d/.big.a1B2c3", "d/.other.a1B2c3", "d/extra")
		f.req.Attempt = 2
		f.beside("d/big")
		if f.exists("d/.big.a1B2c3") || !f.exists("d/.other.a1B2c3") || !f.exists("d/extra") {
			t.Errorf("wrong at the destination: %q", changed(snapshot{}, snap(t, f.dst)))
		}
	})
	t.Run("lost directory", func(t *testing.T) {
		f := local(t)
		f.big(f.src, "d/e/big")
		f.write(f.src, "d/e/small", "d/small")
		f.req.Beside = true
		res, err := f.try(paths("d/e/big")...)
		if err != nil || len(res.Failed) != 1 || res.Failed[0].Path != "d" {
			t.Fatal(describe(res, err))
		}
		if f.exists("d/e/small") || f.exists("d/small") || !f.exists("d/e/big") {
			t.Errorf("wrong at the destination: %q", changed(snapshot{}, snap(t, f.dst)))
		}
	})
	t.Run("directory in the way", func(t *testing.T) {
		f := local(t)
		f.big(f.src, "big")
		f.write(f.dst, "big/a", "big/b")
		f.req.Beside, f.req.MaxDelete = true, 1
		res, err := f.try(paths("big")...)
		if err != nil || len(res.Failed) != 1 || res.Withheld.Count == 0 {
			t.Fatal(describe(res, err), res.Withheld)
		}
		if !f.exists("big/a") {
			t.Error("it was deleted")
		}
	})
}

// The arguments of a standby do not change with what is busy.
func TestBusyKeepsTheStandby(t *testing.T) {
	f := limited(t)
	f.write(f.src, "a", "b")
	f.sync(paths("a")...)
	before := f.tr.standbys[peer{sync: f.req.Sync, destination: f.req.Destination}]
	f.req.Busy = []string{"big"}
	f.sync(paths("b")...)
	if before == nil {
		t.Fatal("there was no standby")
	}
	select {
	case <-before.process.Done():
	default:
		t.Error("the standby was not used")
	}
	if exit := before.process.Wait(); !exit.OK() {
		t.Errorf("the standby was dropped: %v", exit)
	}
}

// A comparison that is split leaves large files out as well.
func TestSplitComparisonLeavesOut(t *testing.T) {
	f := limited(t)
	f.tr.minSplit, f.config().Parallel = 8, 3
	var want []string
	for _, dir := range []string{"", "a/", "a/b/", "c/", "d/e/f/"} {
		want = append(want, dir+"large")
		f.big(f.src, dir+"large")
		f.write(f.src, dir+"small", dir+"other")
	}
	slices.Sort(want)
	if res := f.sync(subtrees("")...); !slices.Equal(res.Large, want) {
		t.Errorf("left out %q", res.Large)
	}
	for _, p := range want {
		f.beside(p)
	}
	if res := f.sync(subtrees("")...); len(res.Large) > 0 {
		t.Errorf("left out %q, which are the same", res.Large)
	}
	f.equal(tree.Options{})
}

// A file that grows after it was looked at is left out too, by a standby as well.
func TestFileThatGrowsLargeIsLeftOut(t *testing.T) {
	f := limited(t)
	for i, name := range []string{"first", "second"} {
		f.write(f.src, name)
		s, err := f.tr.open(f.req, nil)
		f.must(err)
		f.must(s.probed(t.Context()))
		j := s.pathsJob([]entry{{path: name, state: stateFile}})
		f.big(f.src, name)
		out, err := s.run(t.Context(), j, mode{limit: noLimit})
		f.must(err)
		if !out.exit.OK() || f.exists(name) {
			t.Fatalf("run %d: %v, sent: %v", i, out.exit, f.exists(name))
		}
		f.must(s.leaveLarge(t.Context()))
		if got := s.count.result.Large; !slices.Equal(got, []string{name}) {
			t.Errorf("run %d: left out %q", i, got)
		}
	}
}
