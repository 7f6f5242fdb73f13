package watchertest

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// LinkRaces lists what happens to a file with the names "f" and "d/g" before anybody acts on it. Directories
// named "cache" and files that end in ".skip" are excluded. The names that the file has then must be reported.
var LinkRaces = []Case{
	{"write, remove", nil, func(a Area) { a.Write("f"); a.Remove("f") }, []string{"d/g"}},
	{"write, remove, make anew", nil, func(a Area) { a.Write("f"); a.Remove("f"); a.Write("f") }, []string{"d/g", "f"}},
	{"write, replace", nil, func(a Area) { a.Write("f", "tmp"); a.Move("tmp", "f") }, []string{"d/g", "f"}},
	{"write, rename", nil, func(a Area) { a.Write("f"); a.Move("f", "h") }, []string{"d/g", "h"}},
	{"write, rename twice", nil, func(a Area) { a.Write("f"); a.Move("f", "h"); a.Move("h", "d/i") }, []string{"d/g", "d/i"}},
	{"write, rename, remove", nil, func(a Area) { a.Write("f"); a.Move("f", "h"); a.Remove("h") }, []string{"d/g"}},
	{"write, rename, replace", nil, func(a Area) { a.Write("f", "tmp"); a.Move("f", "h"); a.Move("tmp", "h") }, []string{"d/g", "h"}},
	{"write, rename, make anew", nil, func(a Area) { a.Write("f"); a.Move("f", "h"); a.Write("f") }, []string{"d/g", "h", "f"}},
	{"write, exchange", nil, func(a Area) { a.Write("f", "x"); a.Exchange("f", "x"); a.Remove("f") }, []string{"d/g", "x"}},
	{"exchange, write, exchange", nil, func(a Area) { a.Write("x"); a.Exchange("f", "x"); a.Write("x"); a.Exchange("f", "x") }, []string{"d/g", "f"}},
	{"write, move out", nil, func(a Area) { a.Write("f"); a.Move("f", "out:f") }, []string{"d/g"}},
	{"write, move where it is excluded", nil, func(a Area) { a.Write("f"); a.Move("f", "cache/f") }, []string{"d/g"}},
	{"write by a name that is excluded", nil, func(a Area) { a.Link("f", "no.skip"); a.Write("no.skip") }, []string{"d/g", "f"}},
	{"chmod, remove", nil, func(a Area) { Must(a.T, os.Chmod(a.Path("f"), 0o600)); a.Remove("f") }, []string{"d/g"}},
	{"link, write, remove", nil, func(a Area) { a.Link("f", "x"); a.Write("x"); a.Remove("x") }, []string{"f", "d/g"}},
	{"link, write, rename over another", nil, func(a Area) { a.Write("y"); a.Link("f", "x"); a.Write("x"); a.Move("x", "y"); a.Remove("y") }, []string{"f", "d/g"}},
	{"link in a new directory, write", nil, func(a Area) { a.Mkdir("n/m"); a.Link("f", "n/m/x"); a.Write("n/m/x") }, []string{"f", "d/g"}},
	{"link in a new directory, write, remove", nil, func(a Area) { a.Mkdir("n"); a.Link("f", "n/x"); a.Write("n/x"); a.Remove("n/x") }, []string{"f", "d/g"}},
	{"link in a new directory, write, remove the directory", nil, func(a Area) { a.Mkdir("n/m"); a.Link("f", "n/m/x"); a.Write("n/m/x"); a.Remove("n") }, []string{"f", "d/g"}},
	{"link in a new directory, write, move the directory out", nil, func(a Area) { a.Mkdir("n/m"); a.Link("f", "n/m/x"); a.Write("n/m/x"); a.Move("n", "out:n") }, []string{"f", "d/g"}},
	{"link in a directory that has moved in, write", nil, func(a Area) { a.Mkdir("out:n"); a.Move("out:n", "n"); a.Link("f", "n/x"); a.Write("n/x") }, []string{"f", "d/g"}},
	{"write, rename the directory", nil, func(a Area) { a.Write("d/g"); a.Move("d", "e") }, []string{"f", "e/g"}},
	{"write, rename the directory, make it anew", nil, func(a Area) { a.Write("d/g"); a.Move("d", "e"); a.Mkdir("d"); a.Write("d/g") }, []string{"f", "e/g"}},
	{"write, exchange directories", nil, func(a Area) { a.Mkdir("e"); a.Write("d/g", "e/g"); a.Exchange("d", "e") }, []string{"f", "e/g"}},
	{"write, move the directory out", nil, func(a Area) { a.Write("d/g"); a.Move("d", "out:d") }, []string{"f"}},
	{"write, move the directory out and remove it", nil, func(a Area) { a.Write("d/g"); a.Move("d", "out:d"); a.Remove("out:d") }, []string{"f"}},
	{"write, move the directory where it is excluded", nil, func(a Area) { a.Write("d/g"); a.Move("d", "cache/d") }, []string{"f"}},
	{"write, remove the directory", nil, func(a Area) { a.Write("d/g"); a.Remove("d") }, []string{"f"}},
	{"write in a directory that has just moved", nil, func(a Area) { a.Move("d", "e"); a.Write("e/g"); a.Move("e", "d") }, []string{"f", "d/g"}},
}

// Exchange gives each the name of the other.
func (a Area) Exchange(one, other string) {
	Must(a.T, unix.Renameat2(unix.AT_FDCWD, a.Path(one), unix.AT_FDCWD, a.Path(other), unix.RENAME_EXCHANGE))
}

// RunLinkRaces runs LinkRaces. The watch calls beforeRead before it reads events, which is held up until it is
// all over: the unlucky moments in which a name is looked at too late are then certain.
func RunLinkRaces(t *testing.T, watch func(beforeRead func()) Backend) {
	for _, tc := range LinkRaces {
		t.Run(tc.Name, func(t *testing.T) {
			LeakCheck(t)
			a := NewArea(t)
			a.Mkdir("d", "cache")
			a.Write("f", "other", "d/other")
			a.Link("f", "d/g")
			gate := NewGate()
			w := Start(t, watch(gate.Pass), a.Root, "cache/", "*.skip")
			gate.Close()
			tc.Op(a)
			gate.Open()
			w.Prove()
			w.Covered(0, tc.Want...)
			Must(t, w.End())
		})
	}
}

// RunLinksOfMany checks that each name of many files is found.
func RunLinksOfMany(t *testing.T, b Backend) {
	a := NewArea(t)
	a.Mkdir("d")
	var want []string
	for i := range 300 {
		one, other := fmt.Sprint("f", i), fmt.Sprint("d/", i)
		a.Write(one)
		a.Link(one, other)
		want = append(want, other)
	}
	w := Start(t, b, a.Root)
	for i := range 300 {
		a.Write(fmt.Sprint("f", i))
		a.Remove(fmt.Sprint("f", i))
	}
	w.Prove()
	w.Covered(0, want...)
}

// RunBarrierSurvivesOverflow checks that a barrier is reached, after the comparison, though an overflow may
// cost its event. The watch merges what is more than a few KiB.
func RunBarrierSurvivesOverflow(t *testing.T, b Backend) {
	a := NewArea(t)
	w := Start(t, b, a.Root)
	for range 20 {
		mark := w.Mark()
		var want []string
		for i := range 500 {
			want = append(want, fmt.Sprint("file", i))
		}
		a.Write(want...)
		w.Prove()
		w.Covered(mark, want...)
	}
}
