package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/isolate"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// A directory that cannot be listed: what is in it is unknown, not gone. Nothing of it is deleted, it is named with
// the reason, all else arrives, and once it can be listed everything is as at the source. The whole plugin runs as
// somebody who may not.
func TestDirectoryThatCannotBeListed(t *testing.T) {
	if !isolate.Run(t, isolate.Nobody) {
		return
	}
	const shut = "d/sh\nut \\#012"
	for _, c := range []struct {
		name    string
		changes []sdk.Change
		dry     bool
	}{
		{name: "everything", changes: subtrees("")},
		{name: "everything, looked at", changes: subtrees(""), dry: true},
		{name: "below a subtree", changes: subtrees("a", "d", "z")},
		{name: "the top of a subtree", changes: subtrees("a", "d/new", shut, "z")},
		{name: "the top of a subtree, looked at", changes: subtrees("a", "d/new", shut, "z"), dry: true},
		{name: "a batch", changes: append(paths("a/new", "d/new", shut, shut+"/x", shut+"/gone", "z/new"), subtrees(shut+"/sub")...)},
		{name: "a batch of what is in it", changes: paths("a/new", "d/new", shut+"/gone", shut+"/sub", "z/new")},
	} {
		for _, mode := range []os.FileMode{0, 0o111, 0o444} {
			if mode == 0o111 && c.changes[0].Scope == sdk.ScopePath {
				continue // without a list, what has a name can be looked at
			}
			t.Run(fmt.Sprintf("%v, %s", mode, c.name), func(t *testing.T) {
				f := local(t)
				f.req.DryRun = c.dry
				f.write(f.src, "a/new", "d/new", "z/new", shut+"/x", shut+"/sub/y")
				kept := []string{shut + "/x", shut + "/gone", shut + "/sub/y", shut + "/sub/gone"}
				f.write(f.dst, append(kept, "a/gone", "z/gone")...)
				f.must(os.Chmod(filepath.Join(f.src, shut), mode))
				t.Cleanup(func() {
					for _, root := range []string{f.src, f.dst} {
						f.must(os.Chmod(filepath.Join(root, shut), 0o755))
					}
				})

				res, err := f.try(c.changes...)
				list, texts := failedPaths(res)
				if err != nil || !slices.ContainsFunc(list, func(p string) bool {
					return strings.HasPrefix(p+"/", shut+"/") && strings.Contains(texts[p], "permission denied")
				}) {
					t.Errorf("it is not named: %s", describe(res, err))
				}
				// It has the same mode at the destination by now.
				f.must(os.Chmod(filepath.Join(f.dst, shut), 0o755))
				for _, p := range kept {
					if !f.exists(p) {
						t.Errorf("%q is deleted", p)
					}
				}
				for _, p := range []string{"a/new", "d/new", "z/new"} {
					if f.exists(p) == c.dry {
						t.Errorf("%s: at the destination %v", p, f.exists(p))
					}
				}
				for _, c := range c.changes {
					if c.Scope == sdk.ScopeSubtree && f.exists(c.Path+"/gone") && !slices.Contains(list, c.Path) {
						t.Errorf("%q is confirmed, and %q not deleted", c.Path, c.Path+"/gone")
					}
				}

				f.must(os.Chmod(filepath.Join(f.src, shut), 0o755))
				f.req.DryRun = false
				f.sync(c.changes...)
				f.sync(subtrees("")...)
				f.equal(tree.Options{})
			})
		}
	}
}
