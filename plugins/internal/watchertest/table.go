package watchertest

import (
	"os"
	"slices"
	"strings"
	"syscall"

	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// Case is something that happens to a tree.
type Case struct {
	Name  string
	Setup func(a Area) // before the tree is watched; may be nil
	Op    func(a Area)
	Want  []string
}

// Lasting returns what of Want the tree has, or had before: what came and went again no one can know who
// looks now and then. It is to be called before Op, and what it returns after.
func (c Case) Lasting(a Area) func() []string {
	exists := func(p string) bool {
		_, err := os.Lstat(a.Path(p))
		return err == nil
	}
	before := map[string]bool{}
	for _, p := range c.Want {
		before[p] = exists(p)
	}
	return func() []string {
		return slices.DeleteFunc(slices.Clone(c.Want), func(p string) bool { return !before[p] && !exists(p) })
	}
}

// Table lists what happens to trees. After op, the changes must cover every path in want, and every
// directory that exists must be watched under its right path.
var Table = []Case{
	{"create a file", nil,
		func(a Area) { a.Write("f") }, []string{"f"}},
	{"append", func(a Area) { a.Write("f") },
		func(a Area) {
			f, err := os.OpenFile(a.Path("f"), os.O_APPEND|os.O_WRONLY, 0)
			Must(a.T, err)
			_, err = f.WriteString("more")
			Must(a.T, err)
			a.T.Cleanup(func() { f.Close() }) // seen although it is not closed
		}, []string{"f"}},
	{"truncate", func(a Area) { a.Write("f") },
		func(a Area) { Must(a.T, os.Truncate(a.Path("f"), 0)) }, []string{"f"}},
	{"rewrite, same size", func(a Area) { a.Write("f") },
		func(a Area) { a.Write("f") }, []string{"f"}},
	{"rewrite, same size and time", func(a Area) { a.Write("f"); a.Old("f") },
		func(a Area) { Must(a.T, os.WriteFile(a.Path("f"), []byte("F"), 0)); a.Old("f") }, []string{"f"}},
	{"chown", func(a Area) { a.Write("f"); a.Mkdir("d") }, func(a Area) {
		Must(a.T, os.Chown(a.Path("f"), os.Getuid(), os.Getgid()))
		Must(a.T, os.Chown(a.Path("d"), os.Getuid(), os.Getgid()))
	}, []string{"f", "d"}},
	{"utimes", func(a Area) { a.Write("f"); a.Mkdir("d") },
		func(a Area) { a.Old("f"); a.Old("d") }, []string{"f", "d"}},
	{"exchange", func(a Area) { a.Mkdir("d", "e"); a.Write("d/x", "e/x", "f", "g") }, func(a Area) {
		a.Move("d", "t")
		a.Move("e", "d")
		a.Move("t", "e")
		a.Move("f", "t")
		a.Move("g", "f")
		a.Move("t", "g")
	}, []string{"d/x", "e/x", "f", "g"}},
	{"symlink to elsewhere", func(a Area) { Must(a.T, os.Symlink("a", a.Path("l"))) },
		func(a Area) { a.Remove("l"); Must(a.T, os.Symlink("b", a.Path("l"))) }, []string{"l"}},
	{"symlinks in a circle", func(a Area) {
		a.Mkdir("d")
		Must(a.T, os.Symlink("..", a.Path("d/up")))
		Must(a.T, os.Symlink("self", a.Path("self")))
	}, func(a Area) { a.Write("d/f"); Must(a.T, os.Symlink(".", a.Path("d/here"))) }, []string{"d/f", "d/here"}},
	{"fifo", nil,
		func(a Area) { Must(a.T, syscall.Mkfifo(a.Path("p"), 0o644)) }, []string{"p"}},
	{"remove hostile names", func(a Area) { a.Write(trees.HostileNames()...); a.Mkdir("d"); a.Write("d/x") },
		func(a Area) { a.Remove(trees.HostileNames()...) }, trees.HostileNames()},
	{"chmod", func(a Area) { a.Write("f") },
		func(a Area) { Must(a.T, os.Chmod(a.Path("f"), 0o600)) }, []string{"f"}},
	{"chmod a directory", func(a Area) { a.Mkdir("d") },
		func(a Area) { Must(a.T, os.Chmod(a.Path("d"), 0o700)) }, []string{"d"}},
	{"chmod the root", nil,
		func(a Area) { Must(a.T, os.Chmod(a.Root, 0o700)) }, []string{""}},
	{"remove a file", func(a Area) { a.Write("f") },
		func(a Area) { a.Remove("f") }, []string{"f"}},
	{"rename a file", func(a Area) { a.Mkdir("d"); a.Write("f") },
		func(a Area) { a.Move("f", "d/g") }, []string{"f", "d/g"}},
	{"replace a file by renaming", func(a Area) { a.Write("f", "tmp") },
		func(a Area) { a.Move("tmp", "f") }, []string{"f", "tmp"}},
	{"symlink", func(a Area) { a.Mkdir("d") },
		func(a Area) { Must(a.T, os.Symlink("d", a.Path("l"))) }, []string{"l"}},
	{"hard link", func(a Area) { a.Write("f") },
		func(a Area) { Must(a.T, os.Link(a.Path("f"), a.Path("h"))) }, []string{"h"}},
	{"write through a hard link", func(a Area) { a.Mkdir("d"); a.Write("f"); Must(a.T, os.Link(a.Path("f"), a.Path("d/h"))) },
		func(a Area) { a.Write("d/h") }, []string{"d/h"}},
	{"mkdir", nil,
		func(a Area) { a.Mkdir("d") }, []string{"d"}},
	{"mkdir -p and a file at the bottom", nil,
		func(a Area) { a.Mkdir("1/2/3/4/5/6/7/8"); a.Write("1/2/3/4/5/6/7/8/f") }, []string{"1/2/3/4/5/6/7/8/f"}},
	{"many directories at once", nil, func(a Area) {
		for _, x := range strings.Split("abcdefghij", "") {
			for _, y := range strings.Split("abcdefghij", "") {
				a.Mkdir(x + "/" + y)
				a.Write(x + "/" + y + "/f")
			}
		}
	}, []string{"a/a/f", "a/j/f", "e/e/f", "j/a/f", "j/j/f"}},
	{"rmdir", func(a Area) { a.Mkdir("d") },
		func(a Area) { a.Remove("d") }, []string{"d"}},
	{"rm -r", func(a Area) { a.Mkdir("d/e/f", "d/g"); a.Write("d/e/f/x", "d/y") },
		func(a Area) { a.Remove("d") }, []string{"d"}},
	{"rm -r and again", func(a Area) { a.Mkdir("d/e"); a.Write("d/e/x") },
		func(a Area) { a.Remove("d"); a.Mkdir("d/e"); a.Write("d/e/y") }, []string{"d/e/x", "d/e/y"}},
	{"rename a directory", func(a Area) { a.Mkdir("d/e"); a.Write("d/e/x") },
		func(a Area) { a.Move("d", "n"); a.Write("n/e/x") }, []string{"d", "n/e/x"}},
	{"rename a directory twice", func(a Area) { a.Mkdir("d/e") },
		func(a Area) { a.Move("d", "n"); a.Move("n", "m"); a.Write("m/e/x") }, []string{"d", "m/e/x"}},
	{"rename a directory and back", func(a Area) { a.Mkdir("d/e") },
		func(a Area) { a.Move("d", "n"); a.Move("n", "d"); a.Write("d/e/x") }, []string{"n", "d/e/x"}},
	{"rename a directory, recreate the old name", func(a Area) { a.Mkdir("d/e"); a.Write("d/e/x") },
		func(a Area) { a.Move("d", "n"); a.Mkdir("d/e"); a.Write("d/e/y", "n/e/z") },
		[]string{"d/e/x", "d/e/y", "n/e/x", "n/e/z"}},
	{"rename into a directory that was just renamed", func(a Area) { a.Mkdir("d", "e/f") },
		func(a Area) { a.Move("d", "n"); a.Move("e", "n/e"); a.Write("n/e/f/x") }, []string{"d", "e", "n/e/f/x"}},
	{"rename a directory over an empty one", func(a Area) { a.Mkdir("d/e", "n") },
		func(a Area) { Must(a.T, syscall.Rename(a.Path("d"), a.Path("n"))); a.Write("n/e/x") }, []string{"d", "n/e/x"}},
	{"mkdir in a directory being renamed", func(a Area) { a.Mkdir("d") },
		func(a Area) { a.Mkdir("d/e/f"); a.Move("d", "n"); a.Mkdir("n/g/h"); a.Write("n/e/f/x", "n/g/h/y") },
		[]string{"d", "n/e/f/x", "n/g/h/y"}},
	{"move out", func(a Area) { a.Mkdir("d/e"); a.Write("d/e/x") },
		func(a Area) { a.Move("d", "out:d"); a.Write("out:d/e/y") }, []string{"d"}},
	{"move in", func(a Area) { a.Mkdir("out:d/e"); a.Write("out:d/e/x") },
		func(a Area) { a.Move("out:d", "d"); a.Write("d/e/y") }, []string{"d/e/x", "d/e/y"}},
	{"move out, another of the same name moves in", func(a Area) { a.Mkdir("d/e", "out:o/e"); a.Write("d/e/x", "out:o/e/y") },
		func(a Area) { a.Move("d", "out:d"); a.Move("out:o", "d"); a.Write("d/e/z", "out:d/e/x") },
		[]string{"d/e/x", "d/e/y", "d/e/z"}},
	{"move out, the same name is made", func(a Area) { a.Mkdir("d/e") },
		func(a Area) { a.Move("d", "out:d"); a.Mkdir("d/e"); a.Write("d/e/x") }, []string{"d/e/x"}},
	{"move out and in again", func(a Area) { a.Mkdir("d/e") },
		func(a Area) {
			a.Move("d", "out:d")
			a.Mkdir("out:d/f")
			a.Move("out:d", "d")
			a.Write("d/e/x", "d/f/y")
		},
		[]string{"d/e/x", "d/f/y"}},
	{"three in a circle", func(a Area) { a.Mkdir("a/1", "b/2", "c/3") },
		func(a Area) {
			a.Move("a", "t")
			a.Move("b", "a")
			a.Move("c", "b")
			a.Move("t", "c")
			a.Write("a/2/x", "b/3/x", "c/1/x")
		},
		[]string{"a/2/x", "b/3/x", "c/1/x", "a/1", "b/2", "c/3"}},
	{"parent and child change places", func(a Area) { a.Mkdir("p/c/x") },
		func(a Area) { a.Move("p/c", "t"); a.Move("p", "t/c"); a.Move("t", "p"); a.Write("p/x/1", "p/c/2") },
		[]string{"p/x/1", "p/c/2"}},
	{"a directory becomes a file", func(a Area) { a.Mkdir("d/e") },
		func(a Area) { a.Remove("d"); a.Write("d") }, []string{"d"}},
	{"a file becomes a directory", func(a Area) { a.Write("d") },
		func(a Area) { a.Remove("d"); a.Mkdir("d/e"); a.Write("d/e/x") }, []string{"d/e/x"}},
	{"a directory becomes a symlink out of the tree", func(a Area) { a.Mkdir("d", "out:o") },
		func(a Area) { a.Remove("d"); Must(a.T, os.Symlink(a.Out, a.Path("d"))); a.Write("out:o/x") }, []string{"d"}},
	{"hostile names", nil, func(a Area) {
		for _, n := range trees.HostileNames() {
			a.Mkdir(n + "/" + n)
			a.Write(n + "/" + n + "/" + n)
		}
	}, hostilePaths()},
	{"rename hostile names", func(a Area) { a.Mkdir("d/e"); a.Write("d/e/f") }, func(a Area) {
		last := "d"
		for _, n := range trees.HostileNames() {
			a.Move(last, n)
			last = n
		}
		a.Move(last, "end")
	}, append(trees.HostileNames(), "d", "end/e/f")},
}

// WriteMapped is one more of them, for whoever can tell that a file was closed.
var WriteMapped = Case{"write by mmap", func(a Area) { a.Write("f") }, writeMapped, []string{"f"}}

// writeMapped changes a file that is mapped into memory, and closes it.
func writeMapped(a Area) {
	f, err := os.OpenFile(a.Path("f"), os.O_RDWR, 0)
	Must(a.T, err)
	defer f.Close()
	m, err := syscall.Mmap(int(f.Fd()), 0, 1, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	Must(a.T, err)
	m[0] = 'F'
	Must(a.T, syscall.Munmap(m))
}

func hostilePaths() (paths []string) {
	for _, n := range trees.HostileNames() {
		paths = append(paths, n+"/"+n+"/"+n)
	}
	return paths
}
