package rsync

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// Somebody removes the destination, or a directory in it: the next change of anything below finds that
// out, and what was lost is sent again.
func TestLostAtDestination(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			for _, lost := range []string{"", "sub", "sub/x"} {
				f := local(t)
				f.force(mode.caps)
				f.write(f.src, "f", "other/f", "sub/1", "sub/2", "sub/x/y/3", "sub/x/4")
				f.sync(subtrees("")...)
				f.must(os.RemoveAll(filepath.Join(f.dst, lost)))
				f.write(f.src, "sub/x/new")
				f.sync(paths("sub/x/new")...)
				f.equal(tree.Options{IgnoreTimes: !mode.caps.nanoseconds})
			}
		})
	}
}

// A path that rsync cannot send is named, and the others are sent.
func TestPathTooLongForRsync(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "a", "z/b")
	dir, err := os.OpenRoot(f.src)
	f.must(err)
	for range 25 {
		name := strings.Repeat("d", 200)
		f.must(dir.Mkdir(name, 0o755))
		sub, err := dir.OpenRoot(name)
		f.must(err)
		f.must(dir.Close())
		dir = sub
	}
	f.must(dir.WriteFile("file", nil, 0o644))
	f.must(dir.Close())
	res, err := f.try(subtrees("")...)
	if err != nil || len(res.Failed) == 0 {
		t.Fatalf("%s", describe(res, err))
	}
	for _, failed := range res.Failed {
		if !strings.Contains(failed.Text, "too long for rsync") && !strings.Contains(failed.Text, "deletions were left out") {
			t.Errorf("%.50q: %s", failed.Path, failed.Text)
		}
	}
	if !f.exists("a") || !f.exists("z/b") {
		t.Error("the others were not sent")
	}
}
