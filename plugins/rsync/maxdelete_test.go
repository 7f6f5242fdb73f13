package rsync

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// count returns how many entries there are below root.
func count(t *testing.T, root string) int {
	t.Helper()
	return len(snap(t, root))
}

// A request that would remove more than it may does all else and says so. It removes nothing, or, of a
// list, no directory that is not empty. With the limit raised it is done.
func TestMaxDelete(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		changes []sdk.Change
		gone    int // entries at the destination to be removed
	}{
		{"full", subtrees(""), 8},
		{"subtree", subtrees("d"), 7},
		{"subtrees", subtrees("d", "new"), 7},
		{"paths", paths("d/gone", "d/f1", "d/f2", "top", "new", "new/file", "kind"), 8},
		{"files", paths("d/f1", "d/f2", "top", "new", "new/file", "kind"), 3},
	} {
		for _, mode := range modes[:2] {
			t.Run(tt.name+", "+mode.name, func(t *testing.T) {
				t.Parallel()
				for _, patterns := range [][]string{nil, {"*.bak"}} {
					f := local(t)
					f.req.Exclude = patterns
					f.force(mode.caps)
					// What is created would allow as many deletions.
					changed := []string{"d/stays", "new/file", "kind"}
					f.write(f.dst, changed...)
					f.write(f.src, changed...)
					f.write(f.dst, "d/f1", "d/f2", "d/gone/x/1", "d/gone/x/2", "d/gone/3", "top", "kind")
					gone := tt.gone
					if tt.name == "files" && mode.caps.missingArgs {
						f.must(os.RemoveAll(filepath.Join(f.dst, "d/gone")))
					} else if tt.name == "files" {
						gone = 8 // directories are compared for it
					}
					before := snap(t, f.dst)
					f.req.MaxDelete = uint64(gone - 1)
					res := f.sync(tt.changes...)
					deleted := 0
					if tt.name == "paths" && mode.caps.missingArgs {
						deleted = 3 // the files: what is in the directory is not known before
					}
					if res.Withheld.Count != uint64(gone-deleted) || len(res.Withheld.Sample) != gone-deleted || res.Deleted != uint64(deleted) {
						t.Fatalf("%+v, %d to be removed", res, gone)
					}
					removed := 0
					after := snap(t, f.dst)
					for p := range before {
						if _, ok := after[p]; !ok {
							removed++
						}
					}
					if removed != deleted {
						t.Errorf("removed %d entries", removed)
					}
					for _, p := range changed {
						sent := f.modTime(f.src, p).Equal(f.modTime(f.dst, p))
						for _, c := range tt.changes {
							if c.Covers(p) && !sent {
								t.Errorf("%q is confirmed and was not sent", p)
							}
						}
					}
					f.req.MaxDelete = uint64(gone)
					if res := f.sync(tt.changes...); res.Withheld.Count != 0 || res.Deleted != uint64(gone-deleted) {
						t.Errorf("%+v, %d to be removed", res, gone)
					}
					f.req.MaxDelete = 1
					if res := f.sync(subtrees("")...); res.Withheld.Count > 1 {
						f.req.MaxDelete = 0
						f.sync(subtrees("")...)
					}
					f.equal(tree.Options{})
				}
			})
		}
	}
}

// The sample is bounded, the count is not.
func TestMaxDeleteSample(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.req.MaxDelete = 5
	for i := range 3 * maxPaths {
		f.write(f.dst, fmt.Sprintf("gone/%d", i))
	}
	for _, changes := range [][]sdk.Change{subtrees(""), paths("gone")} {
		res := f.sync(changes...)
		if res.Withheld.Count != 3*maxPaths+1 || len(res.Withheld.Sample) != maxSample || res.Deleted != 0 {
			t.Errorf("%d withheld, %d deleted, sample %q", res.Withheld.Count, res.Deleted, res.Withheld.Sample)
		}
	}
	if n := count(t, f.dst); n != 3*maxPaths+1 {
		t.Errorf("%d entries left", n)
	}
}

// Many listed paths that are gone may be gone from the destination too, so that their number says nothing.
func TestMaxDeleteCountsWhatIsThere(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.req.MaxDelete = 2
	var changes []sdk.Change
	for i := range 20 {
		changes = append(changes, sdk.Change{Path: fmt.Sprint("gone", i)})
	}
	f.write(f.dst, "gone3", "gone7")
	if res := f.sync(changes...); res.Deleted != 2 || res.Withheld.Count != 0 {
		t.Errorf("%+v", res)
	}
	f.write(f.dst, "gone3", "gone7", "gone9")
	if res := f.sync(changes...); res.Deleted != 0 || res.Withheld.Count != 3 {
		t.Errorf("%+v", res)
	}
}

// A change of kind needs no budget, but for what is in a directory that has to go for it.
func TestMaxDeleteAndKinds(t *testing.T) {
	t.Parallel()
	for _, changes := range [][]sdk.Change{subtrees(""), paths("file", "file/x", "empty", "dir", "link")} {
		f := local(t)
		f.req.MaxDelete = 1
		f.write(f.src, "file/x", "empty", "dir")
		f.must(os.Symlink("nowhere", filepath.Join(f.src, "link")))
		f.write(f.dst, "file", "empty/", "link")
		for i := range 8 { // more than what is created allows
			f.write(f.dst, fmt.Sprint("dir/", i))
		}
		res, err := f.try(changes...)
		list, texts := failedPaths(res)
		if err != nil || !cmp.Equal(list, []string{"dir"}) || !strings.Contains(texts["dir"], "more would be deleted than max_delete allows") {
			t.Fatal(describe(res, err))
		}
		if res.Withheld.Count != 8 || res.Deleted != 0 || !f.exists("dir/1") || !f.exists("file/x") {
			t.Errorf("%+v", res)
		}
		f.req.MaxDelete = 8
		f.sync(changes...)
		f.equal(tree.Options{})
	}
}

// What is created allows as many deletions more: a directory of any size may be renamed.
func TestMaxDeleteAndRenamedDirectories(t *testing.T) {
	t.Parallel()
	for _, changes := range [][]sdk.Change{subtrees(""), append(paths("a"), subtrees("b")...)} {
		f := local(t)
		for i := range 20 {
			f.write(f.src, fmt.Sprint("a/", i))
		}
		f.sync(subtrees("")...)
		f.req.MaxDelete = 1
		f.must(os.Rename(filepath.Join(f.src, "a"), filepath.Join(f.src, "b")))
		if res := f.sync(changes...); res.Withheld.Count != 0 || res.Created != 20 && res.Created != 21 || res.Deleted != 21 {
			t.Errorf("%+v", res)
		}
		f.equal(tree.Options{})
		f.must(os.RemoveAll(filepath.Join(f.src, "b")))
		if res := f.sync(append(paths("b"), changes...)...); res.Withheld.Count != 21 {
			t.Errorf("%+v", res)
		}
	}
}

// Renames work with the smallest of limits.
func TestMaxDeleteAndRenames(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.req.MaxDelete = 1
	f.write(f.src, "a", "d/x")
	f.sync(subtrees("")...)
	f.must(os.Rename(filepath.Join(f.src, "a"), filepath.Join(f.src, "b")))
	if res := f.sync(paths("a", "b")...); res.Withheld.Count != 0 {
		t.Errorf("%+v", res)
	}
	f.equal(tree.Options{})
}

// What one step of a request removes is not there for the next one.
func TestMaxDeleteIsForAllOfARequest(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.req.MaxDelete = 3
	f.write(f.src, "t/")
	f.write(f.dst, "t/1", "t/2", "gone/3")
	res := f.sync(append(subtrees("t"), paths("gone")...)...)
	if res.Deleted != 2 || res.Withheld.Count != 2 || !f.exists("gone/3") {
		t.Errorf("%+v", res)
	}
}

// A comparison that finds nothing to delete is one run; one that does is two.
func TestMaxDeleteRuns(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.req.MaxDelete = 10
	f.write(f.src, "a", "d/x")
	f.write(f.dst, "gone", "gone dir/x")
	f.config().Standby = 0
	f.force(allCaps)
	log := f.countRuns()
	f.sync(subtrees("")...)
	if n := log(); n != 2 {
		t.Errorf("%d runs with something to delete", n)
	}
	f.write(f.src, "new")
	f.sync(subtrees("")...)
	changes := paths("new", "d/x", "nothing")
	for i := range changes {
		changes[i].Ops = sdk.OpAttrib // what was written and looks alike takes one more (alike.go)
	}
	f.sync(changes...)
	if n := log(); n != 2+1+2 {
		t.Errorf("%d runs", n)
	}
}

// countRuns returns a function that tells how many times rsync has been run.
func (f *fixture) countRuns() func() int {
	f.t.Helper()
	file := filepath.Join(f.t.TempDir(), "runs")
	f.wrap(`echo run >>` + file + `; exec "$rsync" "$@"`)
	return func() int {
		log, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			f.t.Error(err)
		}
		return strings.Count(string(log), "\n")
	}
}

// A destination that changes between counting and removing loses no more than allowed, and what stays is
// told.
func TestMaxDeleteWhileDestinationGrows(t *testing.T) {
	t.Parallel()
	for _, changes := range [][]sdk.Change{subtrees(""), paths("gone", "a")} {
		f := local(t)
		f.req.MaxDelete = 3
		f.write(f.src, "a")
		f.write(f.dst, "gone/1", "a")
		f.force(allCaps)
		grown := filepath.Join(t.TempDir(), "grown")
		f.wrap(`counts=
for a; do case $a in --dry-run|--max-delete=0) counts=1;; esac; done
"$rsync" "$@"
code=$?
[ ! "$counts" -o -e ` + grown + ` ] || touch ` + grown + ` '` + f.dst + `'/gone/2 '` + f.dst + `'/gone/3 '` + f.dst + `'/gone/4
exit $code`)
		res := f.sync(changes...)
		if res.Deleted != 3 || res.Withheld.Count != 2 {
			t.Errorf("%+v", res)
		}
		if n := count(t, f.dst); n != 3 { // with a
			t.Errorf("%d entries left", n)
		}
	}
}

func TestMaxDeleteUnreadable(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.req.MaxDelete = 1
	f.config().Args = []string{"--no-owner", "--no-group"}
	f.write(f.src, "secret", "ok")
	f.write(f.dst, "gone/1", "gone/2")
	f.must(os.Chmod(filepath.Join(f.src, "secret"), 0))
	f.open()
	f.unprivileged()
	for _, changes := range [][]sdk.Change{subtrees(""), paths("secret", "ok", "gone")} {
		res, err := f.try(changes...)
		if list, _ := failedPaths(res); err != nil || !cmp.Equal(list, []string{"secret"}) || res.Withheld.Count != 3 || res.Deleted != 0 || !f.exists("ok") {
			t.Errorf("%s, %+v", describe(res, err), res)
		}
	}
}
