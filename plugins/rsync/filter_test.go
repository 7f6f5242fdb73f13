package rsync

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// What the patterns exclude is neither sent nor deleted, by paths or by subtrees.
func TestExclude(t *testing.T) {
	t.Parallel()
	all := []string{"cache", "cache/new", "a.tmp", "d", "d/a", "d/cache", "d/cache/x", "gone", "gone/a", "gone/cache", "gone/cache/x", "gone/x.tmp", "empty", "f/cache", "kept.tmp"}
	for _, mode := range modes {
		for _, changes := range [][]sdk.Change{paths(all...), subtrees(""), subtrees("d", "gone", "cache", "empty", "f"), append(paths("f"), subtrees(all...)...)} {
			f := local(t)
			f.req.Exclude = []string{"cache/", "*.tmp"}
			f.force(mode.caps)
			f.write(f.src, "cache/new", "a.tmp", "d/a", "f/cache")
			f.write(f.dst, "cache/old", "kept.tmp", "d/cache/x", "gone/a", "gone/cache/x", "gone/x.tmp", "empty/a", "empty/b/c")
			f.sync(changes...)
			for p, want := range map[string]bool{
				"cache/old": true, "cache/new": false, "a.tmp": false, "kept.tmp": true, "d/cache/x": true, "d/a": true,
				"gone/a": false, "gone/cache/x": true, "gone/x.tmp": true, "empty": false, "f/cache": true,
			} {
				if f.exists(p) != want {
					t.Errorf("%s: %v: %s exists: %v, want %v", mode.name, changes, p, !want, want)
				}
			}
		}
	}
}

// A pattern for directories protects a directory that is listed as gone, and no file of that name.
func TestExcludeMissingByKind(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		f := local(t)
		f.req.Exclude = []string{"cache/"}
		f.force(mode.caps)
		f.write(f.src, "d/a", "e/a", "beside")
		f.write(f.dst, "d/cache/x", "e/cache", "cache", "d/a", "e/a")
		f.sync(paths("d/cache", "e/cache", "cache")...)
		for p, want := range map[string]bool{"d/cache/x": true, "e/cache": false, "cache": false} {
			if f.exists(p) != want {
				t.Errorf("%s: %s exists: %v, want %v", mode.name, p, !want, want)
			}
		}
	}
}

func TestChurnWithExclude(t *testing.T) {
	t.Parallel()
	for _, mode := range modes[:2] {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			f := local(t)
			f.req.Exclude = []string{"cache/"}
			f.force(mode.caps)
			f.write(f.dst, "cache/old", "kept/cache/old") // a name that the churn does not use: a file could not replace it
			ignore := func(p string) bool { return strings.Contains("/"+p+"/", "/cache/") || p == "kept" }
			churn(f, 7, tree.ChurnOptions{Exclude: "cache"}, tree.Options{Ignore: ignore})
			if !f.exists("cache/old") || !f.exists("kept/cache/old") {
				t.Error("an excluded file was deleted at the destination")
			}
		})
	}
}

func TestDeleteOff(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for _, changes := range [][]sdk.Change{paths("new", "gone", "gone/x", "d/gone"), subtrees(""), append(paths("new"), subtrees("gone", "d")...)} {
			f := local(t)
			f.req.Delete = false
			f.force(mode.caps)
			f.write(f.src, "new", "d/a")
			f.write(f.dst, "gone/x", "d/gone")
			res := f.sync(changes...)
			for _, p := range []string{"new", "gone/x", "d/gone"} {
				if !f.exists(p) {
					t.Errorf("%s: %v: %s is missing", mode.name, changes, p)
				}
			}
			if res.Deleted != 0 {
				t.Errorf("%s: %v: %+v", mode.name, changes, res)
			}
		}
	}
}

// With delete off a directory is in the way of a file; the rest arrives.
func TestDeleteOffTypeChange(t *testing.T) {
	t.Parallel()
	for _, changes := range [][]sdk.Change{paths("was dir", "was dir/x", "was file", "ok"), subtrees("")} {
		f := local(t)
		f.req.Delete = false
		f.write(f.src, "was dir", "was file/x", "ok")
		f.write(f.dst, "was dir/x", "was file")
		res, err := f.try(changes...)
		if err != nil {
			t.Fatal(err)
		}
		want := "the destination has a directory there that could not be removed, because delete is off"
		for _, failed := range res.Failed {
			if !strings.HasPrefix(failed.Path, "was dir") || failed.Text != want {
				t.Errorf("%+q", failed)
			}
		}
		if len(res.Failed) == 0 || !f.exists("was dir/x") || !f.exists("ok") || !f.exists("was file") {
			t.Errorf("%s", describe(res, err))
		}
	}
}

func TestPartialDirIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, mode := range modes[:2] {
		f := local(t)
		f.config().Partial = true
		f.force(mode.caps)
		f.write(f.src, "a", partialDir+"/a", "d/b")
		f.write(f.dst, partialDir+"/kept", "gone/"+partialDir+"/x")
		f.sync(paths("a", partialDir, partialDir+"/a", partialDir+"/kept", "gone", "d/b")...)
		f.sync(subtrees("")...)
		for p, want := range map[string]bool{"a": true, partialDir + "/a": false, partialDir + "/kept": true, "gone": false} {
			if f.exists(p) != want {
				t.Errorf("%s: %s exists: %v, want %v", mode.name, p, !want, want)
			}
		}
	}
}

func TestConfigReachesRsync(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "a")
	f.must(os.Link(filepath.Join(f.src, "a"), filepath.Join(f.src, "b")))
	c := f.config()
	c.Compress, c.HardLinks, c.ACLs, c.XAttrs, c.Sparse, c.Checksum, c.BWLimit = true, true, true, true, true, true, "100M"
	c.Args = []string{"--chmod=F600", "-W"}
	f.sync(paths("a", "b")...)
	info, err := os.Stat(filepath.Join(f.dst, "a"))
	f.must(err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("args had no effect: mode %v", info.Mode())
	}
	f.must(os.Chmod(filepath.Join(f.src, "a"), 0o600))
	f.sync(subtrees("")...)
	f.equal(tree.Options{HardLinks: true})
}
