package rsync

import (
	"io/fs"
	"path"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// fakeLimit is the size of a small file in a fakeTree. One is larger whose name begins with "large".
const fakeLimit = 10

// fakeTree maps paths to what is there; true is a directory.
type fakeTree map[string]bool

func (f fakeTree) lstat(p string) (fs.FileMode, int64, error) {
	for i := range len(p) {
		if p[i] != '/' {
			continue
		}
		if dir, ok := f[p[:i]]; !ok {
			return 0, 0, syscall.ENOENT
		} else if !dir {
			return 0, 0, syscall.ENOTDIR
		}
	}
	if strings.HasSuffix(p, "!") {
		return 0, 0, syscall.EACCES
	}
	dir, ok := f[p]
	if !ok {
		return 0, 0, syscall.ENOENT
	}
	if dir {
		return fs.ModeDir, 4096, nil
	}
	if strings.HasPrefix(path.Base(p), "large") {
		return 0, fakeLimit + 1, nil
	}
	return 0, fakeLimit, nil
}

func build(t fakeTree, f *filter.Filter, del bool, changes ...sdk.Change) work {
	b := builder{filter: f, delete: del, lstat: t.lstat}
	return b.build(changes)
}

func TestBuild(t *testing.T) {
	files := fakeTree{"f": false, "d": true, "d/f": false, "d/e": true, "cache": true, "x": true, "secret!": false}
	excl, err := filter.Parse([]string{"cache/", "*.tmp"})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 200)
	for _, tt := range []struct {
		name    string
		changes []sdk.Change
		keep    bool // delete is off
		a, b    []string
		trees   []string
		failed  []string
		full    bool
		root    bool
	}{
		{name: "nothing"},
		{name: "paths", changes: paths("f", "d", "d/f"), a: []string{"./d", "./d/f", "./f"}, b: []string{"./d", "./d/f", "./f"}},
		{name: "gone", changes: paths("a", "d/a", "d/e/a"), a: []string{"./a", "./d/a", "./d/e/a"}, b: []string{"./", "./d/", "./d/e/"}},
		{name: "topmost gone", changes: paths("d/a/b/c", "d/a/b", "d/a"), a: []string{"./d/a"}, b: []string{"./d/"}},
		{name: "below a file", changes: paths("f/a/b", "f/c"), a: []string{"./f"}, b: []string{"./f"}},
		{name: "gone, delete off", changes: paths("a", "d/a/b"), keep: true},
		{name: "excluded", changes: paths("cache", "cache/a", "a.tmp", "d/b.tmp", "cache/x/y")},
		{name: "excluded by kind", changes: paths("d/cache"), a: []string{"./d/"}, b: []string{"./d/"}},
		{name: "excluded below what is gone", changes: paths("gone/a.tmp", "gone/cache/x")},
		{name: "subtrees", changes: subtrees("d", "d/e", "x"), trees: []string{"d", "x"}},
		{name: "covered", changes: append(subtrees("d"), paths("d", "d/f", "d/gone", "dx")...), a: []string{"./d", "./dx"}, b: []string{"./", "./d"}, trees: []string{"d"}},
		{name: "subtrees that are none", changes: subtrees("f", "gone", "d/f/x"), a: []string{"./d/f", "./f", "./gone"}, b: []string{"./", "./d/f", "./f"}},
		{name: "excluded subtree", changes: subtrees("cache", "d/cache/x")},
		{name: "full", changes: append(subtrees(""), paths("f", "../x")...), full: true},
		{name: "root", changes: paths(""), root: true},
		{name: "unreadable", changes: paths("secret!", "f"), a: []string{"./f"}, b: []string{"./f"}, failed: []string{"secret!"}},
		{name: "no paths", changes: paths(".", "..", "/f", "d/", "d//f", "d/../f", "./f", "a\x00b"), failed: []string{".", "..", "/f", "d/", "d//f", "d/../f", "./f", "a\x00b"}},
		{name: "long", changes: paths(strings.Repeat(long+"/", 21) + "x"), failed: []string{strings.Repeat(long+"/", 21) + "x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := build(files, excl, !tt.keep, tt.changes...)
			if got := lines(w.entries, true); !cmp.Equal(append([]string{}, tt.a...), got) {
				t.Errorf("list %q, want %q", got, tt.a)
			}
			if got := lines(w.entries, false); !cmp.Equal(append([]string{}, tt.b...), got) {
				t.Errorf("list without missing args %q, want %q", got, tt.b)
			}
			if diff := cmp.Diff(tt.trees, w.trees); diff != "" {
				t.Error(diff)
			}
			if w.full != tt.full || w.root != tt.root || len(w.failed) != len(tt.failed) {
				t.Errorf("full %v, root %v, failed %q", w.full, w.root, w.failed)
			}
			for _, p := range tt.failed {
				if w.failed[p] == "" {
					t.Errorf("%q is not failed", p)
				}
			}
		})
	}
}

// Whatever the tree and the changes: each entry is safe to give to rsync, and each change is settled by
// an entry, a subtree, or a failure, unless it needs nothing.
func TestBuildProperties(t *testing.T) {
	name := rapid.SampledFrom([]string{"a", "b", "#c", "-d", "e f", "\n", "cache", "..."})
	anyPath := rapid.Custom(func(t *rapid.T) string { return path.Join(rapid.SliceOfN(name, 1, 4).Draw(t, "names")...) })
	rapid.Check(t, func(t *rapid.T) {
		files := fakeTree{}
		for _, p := range rapid.SliceOf(anyPath).Draw(t, "dirs") {
			for ; p != "."; p = path.Dir(p) {
				files[p] = true
			}
		}
		for _, p := range rapid.SliceOf(anyPath).Draw(t, "files") {
			if dir := path.Dir(p); dir == "." || files[dir] {
				if _, ok := files[p]; !ok {
					files[p] = false
				}
			}
		}
		var changes []sdk.Change
		for _, p := range rapid.SliceOfDistinct(anyPath, rapid.ID[string]).Draw(t, "changes") {
			c := sdk.Change{Path: p}
			if rapid.Bool().Draw(t, "subtree") {
				c.Scope = sdk.ScopeSubtree
			}
			changes = append(changes, c)
		}
		w := build(files, nil, true, changes...)
		if len(w.failed) > 0 || w.full || w.root {
			t.Fatalf("%+v", w)
		}
		settled := map[string]bool{}
		for _, e := range w.entries {
			dir, exists := files[e.path]
			if parent := path.Dir(e.path); parent != "." && !files[parent] {
				t.Fatalf("entry %q below what is no directory", e.path)
			}
			if want := map[bool]state{true: stateDir, false: stateFile}[dir]; exists && e.state != want || !exists && e.state != stateGone {
				t.Fatalf("entry %q has state %d", e.path, e.state)
			}
			for _, o := range e.owners {
				settled[o] = true
				if o != e.path && (e.state == stateDir || !strings.HasPrefix(o, e.path+"/")) {
					t.Fatalf("entry %q cannot settle %q", e.path, o)
				}
			}
		}
		for _, tr := range w.trees {
			if !files[tr] {
				t.Fatalf("subtree %q is no directory", tr)
			}
			settled[tr] = true
		}
		covered := map[string]bool{}
		for _, c := range changes {
			if c.Scope == sdk.ScopeSubtree {
				covered[c.Path] = true
			}
		}
		for _, c := range changes {
			if !settled[c.Path] && !coveredBy(covered, c.Path) {
				t.Fatalf("change %q is not settled by %+v", c.Path, w)
			}
		}
		for _, missingArgs := range []bool{true, false} {
			for _, l := range lines(w.entries, missingArgs) {
				p := strings.TrimSuffix(strings.TrimPrefix(l, "./"), "/")
				if !strings.HasPrefix(l, "./") || p != "" && checkPath(p) != "" || len(l) > maxEntry {
					t.Fatalf("line %q", l)
				}
			}
		}
	})
}
