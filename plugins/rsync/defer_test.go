package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// appeared is what a watcher says of a new directory.
func appeared(path string) sdk.Change {
	return sdk.Change{Path: path, Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate | sdk.OpClose}
}

// What was moved into a new directory before anybody said so is left for the call that knows it, and nothing is done
// about it before. All else goes.
func TestDefer(t *testing.T) {
	f := local(t)
	f.random(f.src, "d/sub/f", 2*mega)
	f.random(f.src, "file", 2*mega)
	f.random(f.src, "known", 2*mega)
	f.random(f.src, "deep", 2*mega)
	f.write(f.src, "small")
	f.sync(subtrees("")...)
	was := map[string]uint64{}
	for _, p := range []string{"d/sub/f", "file", "known", "deep"} {
		was[p] = f.inode(p)
	}

	f.req.MayDefer = true
	f.write(f.src, "new/x/y/", "new/s")
	d, file := f.move("d", "new/ d\n*"), f.move("file", "new/file")
	f.move("small", "new/small")
	known, deep := f.move("known", "new/known"), f.move("deep", "new/x/y/deep")
	f.write(f.dst, "new/file/of another kind")
	res := f.sync(append(append(known, deep...), appeared("new"), sdk.Change{Path: "new/s"}, sdk.Change{})...)
	slices.Sort(res.Deferred)
	if diff := cmp.Diff([]string{"new/ d\n*", "new/file"}, res.Deferred); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	for p, there := range map[string]bool{
		"d/sub/f": true, "file": true, "small": true, "new/small": true, "new/s": true, "new/ d\n*": false,
		"new/file/of another kind": true, "new/known": true, "new/x/y/deep": true, "known": false, "deep": false,
	} {
		if f.exists(p) != there {
			t.Errorf("%s: there %v", p, !there)
		}
	}
	for from, to := range map[string]string{"known": "new/known", "deep": "new/x/y/deep"} {
		if f.inode(to) != was[from] {
			t.Errorf("%s was sent", to)
		}
	}

	d[1].Ops, file[1].Scope = 0, sdk.ScopeSubtree
	res = f.sync(append(append(d, file...), sdk.Change{}, sdk.Change{Path: "small"})...)
	f.equal(tree.Options{})
	if len(res.Deferred) > 0 {
		t.Errorf("left out once more: %q", res.Deferred)
	}
	if f.inode("new/ d\n*/sub/f") != was["d/sub/f"] {
		t.Error("the directory was sent")
	}
}

// Nothing is left out that nobody asked for, where no rename will be done, or that was left out before.
func TestDeferNothing(t *testing.T) {
	for name, change := range map[string]func(f *fixture){
		"not asked for":             func(f *fixture) { f.req.MayDefer = false },
		"without delete":            func(f *fixture) { f.req.Delete = false },
		"again":                     func(f *fixture) { f.req.Attempt = 2 },
		"with a path that is gone":  func(f *fixture) { f.req.Changes = paths("gone") },
		"with one that is compared": func(f *fixture) { f.write(f.src, "d/"); f.req.Changes = subtrees("d") },
		"small":                     func(f *fixture) { f.must(os.Truncate(filepath.Join(f.src, "new/f"), mega-1)) },
		"excluded":                  func(f *fixture) { f.req.Exclude = []string{"new/f"} },
	} {
		t.Run(name, func(t *testing.T) {
			f := local(t)
			f.req.MayDefer = true
			f.random(f.src, "new/f", mega)
			change(f)
			if res := f.sync(append(f.req.Changes, appeared("new"))...); len(res.Deferred) > 0 {
				t.Errorf("left out: %q", res.Deferred)
			}
			if f.exists("new/f") != (name != "excluded") {
				t.Error("new/f is not what it should be")
			}
		})
	}
	f := local(t)
	f.req.MayDefer = true
	f.random(f.src, "new/f", mega)
	c := appeared("new")
	c.Ops = 0
	if res := f.sync(c); len(res.Deferred) > 0 || !f.exists("new/f") {
		t.Errorf("of a directory that is in doubt: %q", res.Deferred)
	}
}

// Past a bound the rest is sent: so is what is in it when that is more than goes with a list.
func TestDeferMany(t *testing.T) {
	f := local(t)
	f.req.MayDefer = true
	f.tr.minRename = 0
	for i := range maxDeferred / 2 {
		f.write(f.src, fmt.Sprintf("a/%d", i), fmt.Sprintf("b/%d", i))
	}
	for i := range maxUnfolded + 1 {
		f.write(f.src, fmt.Sprintf("c/%d", i))
	}
	f.write(f.dst, "a/old", "c/old")
	res := f.sync(appeared("a"), appeared("b"), appeared("c"))
	if len(res.Deferred) != maxDeferred {
		t.Fatalf("%d are left out: %q", len(res.Deferred), res.Deferred)
	}
	if f.exists("a/0") || f.exists("a/old") || f.exists("c/old") || !f.exists("c/0") {
		t.Error("not everything else is in step")
	}
	f.sync(append(subtrees(res.Deferred...), sdk.Change{})...)
	f.equal(tree.Options{})
}
