package watchertest

import (
	"slices"
	"testing"

	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// Renames checks what a backend that knows both names of a rename says about them.
func Renames(t *testing.T, b Backend) {
	hostile := trees.HostileNames()
	var chain []string
	for i, n := range hostile[1:] {
		chain = append(chain, "d/"+hostile[i]+" > d/"+n)
	}
	for _, tc := range []struct {
		name  string
		setup func(a Area)
		op    func(a Area)
		want  []string // in this order
	}{
		{"a file", func(a Area) { a.Write("f") }, func(a Area) { a.Move("f", "g") }, []string{"f > g"}},
		{"a directory", func(a Area) { a.Mkdir("d/e") }, func(a Area) { a.Move("d", "n") }, []string{"d > n"}},
		{"into another directory", func(a Area) { a.Mkdir("d/e", "n"); a.Write("d/f") },
			func(a Area) { a.Move("d/e", "n/x"); a.Move("d/f", "n/x/f") }, []string{"d/e > n/x", "d/f > n/x/f"}},
		{"over another", func(a Area) { a.Write("f", "g") }, func(a Area) { a.Move("f", "g") }, []string{"f > g"}},
		{"twice", func(a Area) { a.Mkdir("d") }, func(a Area) { a.Move("d", "n"); a.Move("n", "m") }, []string{"d > n", "n > m"}},
		{"old, and new in its place", func(a Area) { a.Mkdir("live", "new") },
			func(a Area) { a.Move("live", "old"); a.Move("new", "live") }, []string{"live > old", "new > live"}},
		{"out of the tree and into it", func(a Area) { a.Mkdir("d", "out:e") },
			func(a Area) { a.Move("d", "out:d"); a.Move("out:e", "e") }, nil},
		{"to and from what is excluded", func(a Area) { a.Mkdir("d", "e.skip") },
			func(a Area) { a.Move("d", "d.skip"); a.Move("e.skip", "e") }, nil},
		{"hostile names", func(a Area) { a.Mkdir("d"); a.Write("d/" + hostile[0]) }, func(a Area) {
			for i, n := range hostile[1:] {
				a.Move("d/"+hostile[i], "d/"+n)
			}
		}, chain},
	} {
		t.Run(tc.name, func(t *testing.T) {
			LeakCheck(t)
			a := NewArea(t)
			tc.setup(a)
			w := Start(t, b, a.Root, "*.skip")
			mark := w.Mark()
			tc.op(a)
			w.Prove()
			var got []string
			for i, c := range w.Since(mark) {
				if c.From == "" {
					continue
				}
				got = append(got, c.From+" > "+c.Path)
				if before := w.Since(mark)[:i]; unnamed(before, []string{c.From}) != "" {
					t.Errorf("%v was moved to %v and is not reported before", c.From, c)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("renames %q, want %q", got, tc.want)
			}
			Must(t, w.End())
		})
	}
}
