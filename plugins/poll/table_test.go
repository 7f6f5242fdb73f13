package poll

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
	"golang.org/x/sys/unix"
)

// area is where a case of the table works: a watched root, and a directory beside it.
type area struct {
	t         *testing.T
	root, out string
}

func newArea(t *testing.T) area { return area{t, t.TempDir(), t.TempDir()} }

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
func (a area) mv(from, to string) { must(a.t, syscall.Rename(a.path(from), a.path(to))) }
func (a area) rm(paths ...string) {
	for _, p := range paths {
		must(a.t, os.RemoveAll(a.path(p)))
	}
}

// operations lists what happens to trees. After op, the changes must cover want.
var operations = []struct {
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
	{"rewrite, same size", func(a area) { a.write("f") },
		func(a area) { a.write("f") }, []string{"f"}},
	{"rewrite, same size and time", func(a area) { a.write("f"); a.old("f") },
		func(a area) { must(a.t, os.WriteFile(a.path("f"), []byte("F"), 0)); a.old("f") }, []string{"f"}},
	{"write by mmap", func(a area) { a.write("f") }, func(a area) {
		f, err := os.OpenFile(a.path("f"), os.O_RDWR, 0)
		must(a.t, err)
		defer f.Close()
		m, err := unix.Mmap(int(f.Fd()), 0, 1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(a.t, err)
		m[0] = 'F'
		must(a.t, unix.Munmap(m))
	}, []string{"f"}},
	{"chmod", func(a area) { a.write("f") },
		func(a area) { must(a.t, os.Chmod(a.path("f"), 0o600)) }, []string{"f"}},
	{"chmod a directory", func(a area) { a.mkdir("d") },
		func(a area) { must(a.t, os.Chmod(a.path("d"), 0o700)) }, []string{"d"}},
	{"chmod the root", nil,
		func(a area) { must(a.t, os.Chmod(a.root, 0o700)) }, []string{""}},
	{"chown", func(a area) { a.write("f"); a.mkdir("d") }, func(a area) {
		must(a.t, os.Chown(a.path("f"), os.Getuid(), os.Getgid()))
		must(a.t, os.Chown(a.path("d"), os.Getuid(), os.Getgid()))
	}, []string{"f", "d"}},
	{"utimes", func(a area) { a.write("f"); a.mkdir("d") },
		func(a area) { a.old("f"); a.old("d") }, []string{"f", "d"}},
	{"remove a file", func(a area) { a.write("f") },
		func(a area) { a.rm("f") }, []string{"f"}},
	{"rename a file", func(a area) { a.mkdir("d"); a.write("f") },
		func(a area) { a.mv("f", "d/g") }, []string{"f", "d/g"}},
	{"replace a file by renaming", func(a area) { a.write("f", "tmp") },
		func(a area) { a.mv("tmp", "f") }, []string{"f", "tmp"}},
	{"exchange", func(a area) { a.mkdir("d", "e"); a.write("d/x", "e/x", "f", "g") }, func(a area) {
		a.mv("d", "t")
		a.mv("e", "d")
		a.mv("t", "e")
		a.mv("f", "t")
		a.mv("g", "f")
		a.mv("t", "g")
	}, []string{"d/x", "e/x", "f", "g"}},
	{"symlink", func(a area) { a.mkdir("d") },
		func(a area) { must(a.t, os.Symlink("d", a.path("l"))) }, []string{"l"}},
	{"symlink to elsewhere", func(a area) { must(a.t, os.Symlink("a", a.path("l"))) },
		func(a area) { a.rm("l"); must(a.t, os.Symlink("b", a.path("l"))) }, []string{"l"}},
	{"hard link", func(a area) { a.write("f") },
		func(a area) { must(a.t, os.Link(a.path("f"), a.path("h"))) }, []string{"f", "h"}},
	{"write through a hard link", func(a area) { a.mkdir("d"); a.write("f"); must(a.t, os.Link(a.path("f"), a.path("d/h"))) },
		func(a area) { a.write("d/h") }, []string{"f", "d/h"}},
	{"fifo", nil,
		func(a area) { must(a.t, unix.Mkfifo(a.path("p"), 0o644)) }, []string{"p"}},
	{"mkdir -p and a file at the bottom", nil,
		func(a area) { a.mkdir("1/2/3/4/5/6/7/8"); a.write("1/2/3/4/5/6/7/8/f") }, []string{"1/2/3/4/5/6/7/8/f"}},
	{"rm -r", func(a area) { a.mkdir("d/e/f", "d/g"); a.write("d/e/f/x", "d/y") },
		func(a area) { a.rm("d") }, []string{"d", "d/e/f/x", "d/y"}},
	{"rm -r and again", func(a area) { a.mkdir("d/e"); a.write("d/e/x") },
		func(a area) { a.rm("d"); a.mkdir("d/e"); a.write("d/e/y") }, []string{"d/e/x", "d/e/y"}},
	{"rename a directory", func(a area) { a.mkdir("d/e"); a.write("d/e/x") },
		func(a area) { a.mv("d", "n"); a.write("n/e/y") }, []string{"d", "n/e/x", "n/e/y"}},
	{"rename a directory over an empty one", func(a area) { a.mkdir("d/e", "n") },
		func(a area) { a.mv("d", "n"); a.write("n/e/x") }, []string{"d", "n/e/x"}},
	{"move out", func(a area) { a.mkdir("d/e"); a.write("d/e/x") },
		func(a area) { a.mv("d", "out:d") }, []string{"d"}},
	{"move in", func(a area) { a.mkdir("out:d/e"); a.write("out:d/e/x") },
		func(a area) { a.mv("out:d", "d") }, []string{"d/e/x"}},
	{"move out, another of the same name moves in", func(a area) { a.mkdir("d/e", "out:o/e"); a.write("d/e/x", "d/e/z", "out:o/e/y", "out:o/e/z") },
		func(a area) { a.mv("d", "out:d"); a.mv("out:o", "d") }, []string{"d/e/x", "d/e/y", "d/e/z"}},
	{"a directory becomes a file", func(a area) { a.mkdir("d/e") },
		func(a area) { a.rm("d"); a.write("d") }, []string{"d", "d/e"}},
	{"a file becomes a directory", func(a area) { a.write("d") },
		func(a area) { a.rm("d"); a.mkdir("d/e"); a.write("d/e/x") }, []string{"d", "d/e/x"}},
	{"a directory becomes a symlink out of the tree", func(a area) { a.mkdir("d", "out:o"); a.write("d/x") },
		func(a area) { a.rm("d"); must(a.t, os.Symlink(a.out, a.path("d"))) }, []string{"d", "d/x"}},
	{"hostile names", nil, func(a area) {
		for _, n := range trees.HostileNames() {
			a.mkdir(n + "/" + n)
			a.write(n + "/" + n + "/" + n)
		}
	}, hostilePaths()},
	{"remove hostile names", func(a area) { a.write(trees.HostileNames()...); a.mkdir("d"); a.write("d/x") },
		func(a area) { a.rm(trees.HostileNames()...) }, trees.HostileNames()},
	{"deeper than a path may be", func(a area) { a.deep(true) },
		func(a area) { a.deep(false) }, []string{strings.Repeat(long+"/", 40) + "f"}},
}

const long = "a-directory-with-a-name-of-more-than-one-hundred-and-twenty-bytes-so-that-forty-of-them-are-longer-than-the-kernel-takes-paths"

// deep makes a file below 40 directories with long names, or changes it.
func (a area) deep(create bool) {
	at, err := unix.Open(a.root, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(a.t, err)
	for range 40 {
		if create {
			must(a.t, unix.Mkdirat(at, long, 0o755))
		}
		next, err := unix.Openat(at, long, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(a.t, err)
		unix.Close(at)
		at = next
	}
	fd, err := unix.Openat(at, "f", unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0o644)
	must(a.t, err)
	_, err = unix.Write(fd, []byte("x"))
	must(a.t, err)
	unix.Close(fd)
	unix.Close(at)
}

// old gives a file a modification time long ago.
func (a area) old(p string) {
	then := time.Unix(1e9, 123456789)
	must(a.t, os.Chtimes(a.path(p), then, then))
}

func hostilePaths() (paths []string) {
	for _, n := range trees.HostileNames() {
		paths = append(paths, n+"/"+n+"/"+n)
	}
	return paths
}

func TestTable(t *testing.T) {
	for _, tc := range operations {
		t.Run(tc.name, func(t *testing.T) {
			leakCheck(t)
			a := newArea(t)
			if tc.setup != nil {
				tc.setup(a)
			}
			w := start(t, a.root, rarely())
			w.rest() // what was racy
			tc.op(a)
			changes := w.after()
			for _, p := range tc.want {
				if !covered(a.root, p, changes) {
					t.Errorf("%q is not covered by %+v", p, changes)
				}
			}
			must(t, w.end())
		})
	}
}
