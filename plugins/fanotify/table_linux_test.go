package fanotify

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// area is where a case of the table works: a watched root, and a directory beside it.
type area struct {
	t         *testing.T
	root, out string
}

func (a area) path(p string) string {
	if rest, ok := strings.CutPrefix(p, "out:"); ok {
		return filepath.Join(a.out, rest)
	}
	return filepath.Join(a.root, p)
}
func (a area) mkdir(paths ...string) {
	for _, p := range paths {
		must(a.t, os.MkdirAll(a.path(p), 0o755))
	}
}
func (a area) write(paths ...string) {
	for _, p := range paths {
		must(a.t, os.WriteFile(a.path(p), []byte(p), 0o644))
	}
}
func (a area) mv(from, to string) { must(a.t, os.Rename(a.path(from), a.path(to))) }
func (a area) rm(paths ...string) {
	for _, p := range paths {
		must(a.t, os.RemoveAll(a.path(p)))
	}
}
func (a area) tree() []string {
	dirs := []string{""}
	must(a.t, filepath.WalkDir(a.root, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && p != a.root {
			rel, _ := filepath.Rel(a.root, p)
			dirs = append(dirs, rel)
		}
		return err
	}))
	return dirs
}

// table lists what happens to trees. After op, the changes must cover every path in want, and every
// directory that exists must be watched under its right path.
var table = []struct {
	name  string
	setup func(a area)
	op    func(a area)
	want  []string
}{
	{"create a file", nil,
		func(a area) { a.write("f") }, []string{"f"}},
	{"append", func(a area) { a.write("f") },
		func(a area) {
			f, err := os.OpenFile(a.path("f"), os.O_APPEND|os.O_WRONLY, 0)
			must(a.t, err)
			_, err = f.WriteString("more")
			must(a.t, err)
			a.t.Cleanup(func() { f.Close() }) // seen although it is not closed
		}, []string{"f"}},
	{"truncate", func(a area) { a.write("f") },
		func(a area) { must(a.t, os.Truncate(a.path("f"), 0)) }, []string{"f"}},
	{"chmod", func(a area) { a.write("f") },
		func(a area) { must(a.t, os.Chmod(a.path("f"), 0o600)) }, []string{"f"}},
	{"chmod a directory", func(a area) { a.mkdir("d") },
		func(a area) { must(a.t, os.Chmod(a.path("d"), 0o700)) }, []string{"d"}},
	{"chmod the root", nil,
		func(a area) { must(a.t, os.Chmod(a.root, 0o700)) }, []string{""}},
	{"remove a file", func(a area) { a.write("f") },
		func(a area) { a.rm("f") }, []string{"f"}},
	{"rename a file", func(a area) { a.mkdir("d"); a.write("f") },
		func(a area) { a.mv("f", "d/g") }, []string{"f", "d/g"}},
	{"replace a file by renaming", func(a area) { a.write("f", "tmp") },
		func(a area) { a.mv("tmp", "f") }, []string{"f", "tmp"}},
	{"symlink", func(a area) { a.mkdir("d") },
		func(a area) { must(a.t, os.Symlink("d", a.path("l"))) }, []string{"l"}},
	{"hard link", func(a area) { a.write("f") },
		func(a area) { must(a.t, os.Link(a.path("f"), a.path("h"))) }, []string{"h"}},
	{"write through a hard link", func(a area) { a.mkdir("d"); a.write("f"); must(a.t, os.Link(a.path("f"), a.path("d/h"))) },
		func(a area) { a.write("d/h") }, []string{"d/h"}},
	{"mkdir", nil,
		func(a area) { a.mkdir("d") }, []string{"d"}},
	{"mkdir -p and a file at the bottom", nil,
		func(a area) { a.mkdir("1/2/3/4/5/6/7/8"); a.write("1/2/3/4/5/6/7/8/f") }, []string{"1/2/3/4/5/6/7/8/f"}},
	{"many directories at once", nil, func(a area) {
		for _, x := range strings.Split("abcdefghij", "") {
			for _, y := range strings.Split("abcdefghij", "") {
				a.mkdir(x + "/" + y)
				a.write(x + "/" + y + "/f")
			}
		}
	}, []string{"a/a/f", "a/j/f", "e/e/f", "j/a/f", "j/j/f"}},
	{"rmdir", func(a area) { a.mkdir("d") },
		func(a area) { a.rm("d") }, []string{"d"}},
	{"rm -r", func(a area) { a.mkdir("d/e/f", "d/g"); a.write("d/e/f/x", "d/y") },
		func(a area) { a.rm("d") }, []string{"d"}},
	{"rm -r and again", func(a area) { a.mkdir("d/e"); a.write("d/e/x") },
		func(a area) { a.rm("d"); a.mkdir("d/e"); a.write("d/e/y") }, []string{"d/e/x", "d/e/y"}},
	{"rename a directory", func(a area) { a.mkdir("d/e"); a.write("d/e/x") },
		func(a area) { a.mv("d", "n"); a.write("n/e/x") }, []string{"d", "n/e/x"}},
	{"rename a directory twice", func(a area) { a.mkdir("d/e") },
		func(a area) { a.mv("d", "n"); a.mv("n", "m"); a.write("m/e/x") }, []string{"d", "m/e/x"}},
	{"rename a directory and back", func(a area) { a.mkdir("d/e") },
		func(a area) { a.mv("d", "n"); a.mv("n", "d"); a.write("d/e/x") }, []string{"n", "d/e/x"}},
	{"rename a directory, recreate the old name", func(a area) { a.mkdir("d/e"); a.write("d/e/x") },
		func(a area) { a.mv("d", "n"); a.mkdir("d/e"); a.write("d/e/y", "n/e/z") },
		[]string{"d/e/x", "d/e/y", "n/e/x", "n/e/z"}},
	{"rename into a directory that was just renamed", func(a area) { a.mkdir("d", "e/f") },
		func(a area) { a.mv("d", "n"); a.mv("e", "n/e"); a.write("n/e/f/x") }, []string{"d", "e", "n/e/f/x"}},
	{"rename a directory over an empty one", func(a area) { a.mkdir("d/e", "n") },
		func(a area) { must(a.t, syscall.Rename(a.path("d"), a.path("n"))); a.write("n/e/x") }, []string{"d", "n/e/x"}},
	{"mkdir in a directory being renamed", func(a area) { a.mkdir("d") },
		func(a area) { a.mkdir("d/e/f"); a.mv("d", "n"); a.mkdir("n/g/h"); a.write("n/e/f/x", "n/g/h/y") },
		[]string{"d", "n/e/f/x", "n/g/h/y"}},
	{"move out", func(a area) { a.mkdir("d/e"); a.write("d/e/x") },
		func(a area) { a.mv("d", "out:d"); a.write("out:d/e/y") }, []string{"d"}},
	{"move in", func(a area) { a.mkdir("out:d/e"); a.write("out:d/e/x") },
		func(a area) { a.mv("out:d", "d"); a.write("d/e/y") }, []string{"d/e/x", "d/e/y"}},
	{"move out, another of the same name moves in", func(a area) { a.mkdir("d/e", "out:o/e"); a.write("d/e/x", "out:o/e/y") },
		func(a area) { a.mv("d", "out:d"); a.mv("out:o", "d"); a.write("d/e/z", "out:d/e/x") },
		[]string{"d/e/x", "d/e/y", "d/e/z"}},
	{"move out, the same name is made", func(a area) { a.mkdir("d/e") },
		func(a area) { a.mv("d", "out:d"); a.mkdir("d/e"); a.write("d/e/x") }, []string{"d/e/x"}},
	{"move out and in again", func(a area) { a.mkdir("d/e") },
		func(a area) { a.mv("d", "out:d"); a.mkdir("out:d/f"); a.mv("out:d", "d"); a.write("d/e/x", "d/f/y") },
		[]string{"d/e/x", "d/f/y"}},
	{"three in a circle", func(a area) { a.mkdir("a/1", "b/2", "c/3") },
		func(a area) {
			a.mv("a", "t")
			a.mv("b", "a")
			a.mv("c", "b")
			a.mv("t", "c")
			a.write("a/2/x", "b/3/x", "c/1/x")
		},
		[]string{"a/2/x", "b/3/x", "c/1/x", "a/1", "b/2", "c/3"}},
	{"parent and child change places", func(a area) { a.mkdir("p/c/x") },
		func(a area) { a.mv("p/c", "t"); a.mv("p", "t/c"); a.mv("t", "p"); a.write("p/x/1", "p/c/2") },
		[]string{"p/x/1", "p/c/2"}},
	{"a directory becomes a file", func(a area) { a.mkdir("d/e") },
		func(a area) { a.rm("d"); a.write("d") }, []string{"d"}},
	{"a file becomes a directory", func(a area) { a.write("d") },
		func(a area) { a.rm("d"); a.mkdir("d/e"); a.write("d/e/x") }, []string{"d/e/x"}},
	{"a directory becomes a symlink out of the tree", func(a area) { a.mkdir("d", "out:o") },
		func(a area) { a.rm("d"); must(a.t, os.Symlink(a.out, a.path("d"))); a.write("out:o/x") }, []string{"d"}},
	{"hostile names", nil, func(a area) {
		for _, n := range trees.HostileNames() {
			a.mkdir(n + "/" + n)
			a.write(n + "/" + n + "/" + n)
		}
	}, hostilePaths()},
	{"rename hostile names", func(a area) { a.mkdir("d/e"); a.write("d/e/f") }, func(a area) {
		last := "d"
		for _, n := range trees.HostileNames() {
			a.mv(last, n)
			last = n
		}
		a.mv(last, "end")
	}, append(trees.HostileNames(), "d", "end/e/f")},
}

func hostilePaths() (paths []string) {
	for _, n := range trees.HostileNames() {
		paths = append(paths, n+"/"+n+"/"+n)
	}
	return paths
}

func TestTable(t *testing.T) {
	for _, tc := range table {
		t.Run(tc.name, func(t *testing.T) {
			leakCheck(t)
			a := area{t, t.TempDir(), t.TempDir()}
			if tc.setup != nil {
				tc.setup(a)
			}
			w := start(t, quick().watch, a.root)
			mark := w.mark()
			tc.op(a)
			w.prove()
			w.covered(mark, tc.want...)
			w.alive(a.tree()...)
			if slices.ContainsFunc(w.since(0), whole) {
				t.Error("needless comparison of everything")
			}
			must(t, w.end())
		})
	}
}
