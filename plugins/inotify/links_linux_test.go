package inotify

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// linkRaces are what happens to a file with the names "f" and "d/g", before anybody acts on it. Then those
// of its names that are left must be reported.
var linkRaces = []struct {
	name string
	op   func(a area)
	want []string
}{
	{"write, remove", func(a area) { a.write("f"); a.rm("f") }, []string{"d/g"}},
	{"write, remove, make anew", func(a area) { a.write("f"); a.rm("f"); a.write("f") }, []string{"d/g", "f"}},
	{"write, replace", func(a area) { a.write("f", "tmp"); a.mv("tmp", "f") }, []string{"d/g", "f"}},
	{"write, rename", func(a area) { a.write("f"); a.mv("f", "h") }, []string{"d/g", "h"}},
	{"write, rename twice", func(a area) { a.write("f"); a.mv("f", "h"); a.mv("h", "d/i") }, []string{"d/g", "d/i"}},
	{"write, rename, remove", func(a area) { a.write("f"); a.mv("f", "h"); a.rm("h") }, []string{"d/g"}},
	{"write, rename, replace", func(a area) { a.write("f", "tmp"); a.mv("f", "h"); a.mv("tmp", "h") }, []string{"d/g", "h"}},
	{"write, rename, make anew", func(a area) { a.write("f"); a.mv("f", "h"); a.write("f") }, []string{"d/g", "h", "f"}},
	{"write, exchange", func(a area) { a.write("f", "x"); a.exchange("f", "x"); a.rm("f") }, []string{"d/g", "x"}},
	{"exchange, write, exchange", func(a area) { a.write("x"); a.exchange("f", "x"); a.write("x"); a.exchange("f", "x") }, []string{"d/g", "f"}},
	{"write, move out", func(a area) { a.write("f"); a.mv("f", "out:f") }, []string{"d/g"}},
	{"write, move where it is excluded", func(a area) { a.write("f"); a.mv("f", "cache/f") }, []string{"d/g"}},
	{"write by a name that is excluded", func(a area) { a.link("f", "no.skip"); a.write("no.skip") }, []string{"d/g", "f"}},
	{"chmod, remove", func(a area) { must(a.t, os.Chmod(a.path("f"), 0o600)); a.rm("f") }, []string{"d/g"}},
	{"link, write, remove", func(a area) { a.link("f", "x"); a.write("x"); a.rm("x") }, []string{"f", "d/g"}},
	{"link, write, rename over another", func(a area) { a.write("y"); a.link("f", "x"); a.write("x"); a.mv("x", "y"); a.rm("y") }, []string{"f", "d/g"}},
	{"link in a new directory, write", func(a area) { a.mkdir("n/m"); a.link("f", "n/m/x"); a.write("n/m/x") }, []string{"f", "d/g"}},
	{"link in a new directory, write, remove", func(a area) { a.mkdir("n"); a.link("f", "n/x"); a.write("n/x"); a.rm("n/x") }, []string{"f", "d/g"}},
	{"link in a new directory, write, remove the directory", func(a area) { a.mkdir("n/m"); a.link("f", "n/m/x"); a.write("n/m/x"); a.rm("n") }, []string{"f", "d/g"}},
	{"link in a new directory, write, move the directory out", func(a area) { a.mkdir("n/m"); a.link("f", "n/m/x"); a.write("n/m/x"); a.mv("n", "out:n") }, []string{"f", "d/g"}},
	{"link in a directory that has moved in, write", func(a area) { a.mkdir("out:n"); a.mv("out:n", "n"); a.link("f", "n/x"); a.write("n/x") }, []string{"f", "d/g"}},
	{"write, rename the directory", func(a area) { a.write("d/g"); a.mv("d", "e") }, []string{"f", "e/g"}},
	{"write, rename the directory, make it anew", func(a area) { a.write("d/g"); a.mv("d", "e"); a.mkdir("d"); a.write("d/g") }, []string{"f", "e/g"}},
	{"write, exchange directories", func(a area) { a.mkdir("e"); a.write("d/g", "e/g"); a.exchange("d", "e") }, []string{"f", "e/g"}},
	{"write, move the directory out", func(a area) { a.write("d/g"); a.mv("d", "out:d") }, []string{"f"}},
	{"write, move the directory out and remove it", func(a area) { a.write("d/g"); a.mv("d", "out:d"); a.rm("out:d") }, []string{"f"}},
	{"write, move the directory where it is excluded", func(a area) { a.write("d/g"); a.mv("d", "cache/d") }, []string{"f"}},
	{"write, remove the directory", func(a area) { a.write("d/g"); a.rm("d") }, []string{"f"}},
	{"write in a directory that has just moved", func(a area) { a.mv("d", "e"); a.write("e/g"); a.mv("e", "d") }, []string{"f", "d/g"}},
}

func (a area) link(from, to string) { must(a.t, os.Link(a.path(from), a.path(to))) }
func (a area) exchange(one, other string) {
	must(a.t, unix.Renameat2(unix.AT_FDCWD, a.path(one), unix.AT_FDCWD, a.path(other), unix.RENAME_EXCHANGE))
}

// TestLinkRaces holds up the events until it is all over. The unlucky moments in which a name is looked at
// too late are then certain.
func TestLinkRaces(t *testing.T) {
	for _, tc := range linkRaces {
		t.Run(tc.name, func(t *testing.T) {
			leakCheck(t)
			a := area{t, t.TempDir(), t.TempDir()}
			a.mkdir("d", "cache")
			a.write("f", "other", "d/other")
			a.link("f", "d/g")
			gate := newGate()
			tn := quick()
			tn.beforeRead = gate.pass
			w := start(t, tn.watch, a.root, "cache/", "*.skip")
			gate.close()
			tc.op(a)
			gate.open()
			w.prove()
			w.covered(0, tc.want...)
			must(t, w.end())
		})
	}
}

// TestLinksOfMany: each name of many files is found.
func TestLinksOfMany(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d")
	var want []string
	for i := range 300 {
		one, other := fmt.Sprint("f", i), fmt.Sprint("d/", i)
		a.write(one)
		a.link(one, other)
		want = append(want, other)
	}
	w := start(t, quick().watch, a.root)
	for i := range 300 {
		a.write(fmt.Sprint("f", i))
		a.rm(fmt.Sprint("f", i))
	}
	w.prove()
	w.covered(0, want...)
}

// A write or a chmod through one name of a file changes what is under all of its names.
func TestAllNamesOfAFileAreReported(t *testing.T) {
	root := t.TempDir()
	a := area{t: t, root: root}
	a.mkdir("x/deep/er", "y", "cache")
	a.write("x/deep/er/file", "other")
	names := []string{"y/second", "third", "cache/fourth"}
	for _, name := range names {
		must(t, os.Link(a.path("x/deep/er/file"), a.path(name)))
	}
	w := start(t, defaultBackend, root, "cache/")
	for _, by := range []string{"x/deep/er/file", "third"} {
		for what, change := range map[string]func(){
			"write": func() { must(t, os.WriteFile(a.path(by), []byte("new"), 0o644)) },
			"chmod": func() { must(t, os.Chmod(a.path(by), 0o600)) },
		} {
			mark := w.mark()
			change()
			w.reports(mark, "x/deep/er/file", "y/second", "third")
			for _, c := range w.since(mark) {
				if filepath.Dir(c.Path) == "cache" || c.Path == "other" {
					t.Errorf("a %s of %s reported %s", what, by, c)
				}
			}
		}
	}
}
