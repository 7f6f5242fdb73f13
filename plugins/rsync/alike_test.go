package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// rewrite gives a file another content of the same size, and its time back.
func (f *fixture) rewrite(p, content string) {
	f.t.Helper()
	old := f.modTime(f.src, p)
	f.must(os.WriteFile(filepath.Join(f.src, p), []byte(content), 0o644))
	f.must(os.Chtimes(filepath.Join(f.src, p), old, old))
}

// What was written arrives, even if its size and time are what they were.
func TestRewrittenAlike(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			for _, ops := range []sdk.Op{0, sdk.OpWrite | sdk.OpClose, sdk.OpCreate | sdk.OpRename, sdk.OpWrite | sdk.OpAttrib} {
				f := d.make(t)
				f.req.MaxDelete = 100
				f.write(f.src, "d/f", "d/other", "gone")
				f.must(os.WriteFile(filepath.Join(f.src, "d/f"), []byte("old"), 0o644))
				f.sync(subtrees("")...)
				f.rewrite("d/f", "new")
				f.must(os.Remove(filepath.Join(f.src, "gone")))
				f.must(os.WriteFile(filepath.Join(f.src, "d/other"), []byte("longer than before"), 0o644))
				f.sync(sdk.Change{Path: "d/f", Ops: ops}, sdk.Change{Path: "d/other", Ops: sdk.OpWrite}, sdk.Change{Path: "gone", Ops: sdk.OpRemove})
				f.equal(tree.Options{})
			}
		})
	}
}

// A second look takes a run, and there is none where nothing calls for it.
func TestSecondLook(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		do     func(f *fixture)
		change sdk.Change
		runs   int
	}{
		{"written and alike", func(*fixture) {}, sdk.Change{Path: "f", Ops: sdk.OpWrite}, 2},
		{"written and sent", func(f *fixture) {
			f.must(os.WriteFile(filepath.Join(f.src, "f"), []byte("longer than before"), 0o644))
		}, sdk.Change{Path: "f", Ops: sdk.OpWrite}, 1},
		{"attributes", func(f *fixture) { f.must(os.Chmod(filepath.Join(f.src, "f"), 0o600)) }, sdk.Change{Path: "f", Ops: sdk.OpAttrib}, 1},
		{"closed", func(*fixture) {}, sdk.Change{Path: "f", Ops: sdk.OpClose}, 1},
		{"renamed, but not there", func(*fixture) {}, sdk.Change{Path: "f", Ops: sdk.OpCreate | sdk.OpRename, From: "former"}, 2},
		{"new and empty", func(f *fixture) {
			f.must(os.WriteFile(filepath.Join(f.src, "empty"), nil, 0o644))
		}, sdk.Change{Path: "empty", Ops: sdk.OpCreate}, 1},
		{"new symlink", func(f *fixture) {
			f.must(os.Symlink("f", filepath.Join(f.src, "link")))
		}, sdk.Change{Path: "link", Ops: sdk.OpCreate}, 1},
		{"directory", func(*fixture) {}, sdk.Change{Path: "d", Ops: sdk.OpCreate}, 1},
		{"checksum", func(f *fixture) { f.config().Checksum = true }, sdk.Change{Path: "f", Ops: sdk.OpWrite}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := local(t)
			f.config().Standby = 0
			f.write(f.src, "f", "d/x")
			f.sync(subtrees("")...)
			tt.do(f)
			f.force(allCaps)
			runs := f.countRuns()
			f.sync(tt.change)
			if n := runs(); n != tt.runs {
				t.Errorf("%d runs, want %d", n, tt.runs)
			}
			f.equal(tree.Options{})
		})
	}
}

// What the destination has renamed itself is not read again, unless it was written since.
func TestRenamedAlike(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		before, after sdk.Op
		runs          int
	}{
		{"renamed", 0, 0, 2},
		{"and written", 0, sdk.OpWrite, 3},
		{"when it had been written", sdk.OpWrite, 0, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := local(t)
			f.config().Standby, f.tr.minRename = 0, 0
			f.write(f.src, "f")
			f.sync(subtrees("")...)
			f.force(allCaps)
			runs := f.countRuns()
			f.must(os.Rename(filepath.Join(f.src, "f"), filepath.Join(f.src, "g")))
			if tt.runs > 2 {
				f.rewrite("g", "CONTENT OF f")
			}
			f.sync(sdk.Change{Path: "f", Ops: sdk.OpRemove | sdk.OpRename | tt.before},
				sdk.Change{Path: "g", Ops: sdk.OpCreate | sdk.OpRename | tt.after, From: "f"})
			if n := runs(); n != tt.runs {
				t.Errorf("%d runs, want %d", n, tt.runs)
			}
			f.equal(tree.Options{})
		})
	}
}

// No run reads more than can be read within the timeout, however slow the disks: the other side would give up.
func TestAlikeLarge(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f := d.make(t)
			f.config().Timeout = time.Second
			f.write(f.src, "a", "b", "c", "large", "sent")
			sizes := map[string]int{"a": 400 << 10, "b": 400 << 10, "c": 400 << 10, "large": 3 << 20}
			for name, size := range sizes {
				f.rewrite(name, strings.Repeat("o", size))
			}
			f.sync(subtrees("")...)
			f.force(allCaps)
			lines := f.runs("")
			for name, size := range sizes {
				f.rewrite(name, strings.Repeat("n", size))
			}
			f.must(os.WriteFile(filepath.Join(f.src, "sent"), []byte("longer than before"), 0o644))
			f.sync(paths("a", "b", "c", "large", "sent")...)
			f.equal(tree.Options{})
			var ways []string
			for _, line := range lines() {
				for _, way := range []string{"--checksum", "--ignore-times"} {
					if strings.Contains(line, way) {
						ways = append(ways, way)
					}
				}
			}
			if want := []string{"--checksum", "--checksum", "--ignore-times"}; !slices.Equal(ways, want) {
				t.Errorf("%q, want %q", ways, want)
			}
		})
	}
}

// When everything is compared because of an earlier try of which nothing is known, what was written is compared all the same.
func TestAlikeAfterAnUnknownTry(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "d/f", "d/lost")
	f.sync(subtrees("")...)
	f.rewrite("d/f", "CONTENT OF d/f")
	f.must(os.Remove(filepath.Join(f.dst, "d/lost")))
	s, err := f.tr.open(f.req, nil)
	f.must(err)
	f.tr.setKnown(s.peer(), false)
	f.again(sdk.Change{Path: "d/f", Ops: sdk.OpWrite})
	f.equal(tree.Options{})
}

// What was lost at the destination is compared by several runs after a list of which a file looks alike.
func TestAlikeBeforeParallel(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.parallel()
	for i := range 20 {
		f.write(f.src, fmt.Sprintf("d/%d/x", i), fmt.Sprintf("d/%d/y", i))
	}
	f.write(f.src, "f")
	f.sync(subtrees("")...)
	f.must(os.RemoveAll(filepath.Join(f.dst, "d")))
	f.rewrite("f", "CONTENT OF f")
	f.sync(sdk.Change{Path: "d/1/x", Ops: sdk.OpWrite}, sdk.Change{Path: "f", Ops: sdk.OpWrite})
	f.equal(tree.Options{})
}

// What differs by content alone and cannot be put in place is told.
func TestAlikeFails(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.unprivileged()
	f.write(f.src, "d/f")
	f.open()
	f.sync(subtrees("")...)
	f.rewrite("d/f", "CONTENT OF d/f")
	f.must(os.Lchown(filepath.Join(f.dst, "d"), 0, 0))
	if res := f.sync(paths("d")...); res.Files != 0 {
		t.Errorf("%+v", res)
	}
	res, err := f.try(sdk.Change{Path: "d/f", Ops: sdk.OpWrite})
	if list, texts := failedPaths(res); err != nil || len(list) != 1 || list[0] != "d/f" {
		t.Error(describe(res, err), texts)
	}
}
