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
		name    string
		setup   func(a Area)
		op      func(a Area)
		want    []string // in this order
		setting bool     // what is moved to where a watch is being set may be seen there, and told too: then sorted
	}{
		{"a file", func(a Area) { a.Write("f") }, func(a Area) { a.Move("f", "g") }, []string{"f > g"}, false},
		{"a directory", func(a Area) { a.Mkdir("d/e") }, func(a Area) { a.Move("d", "n") }, []string{"d > n"}, false},
		{"into another directory", func(a Area) { a.Mkdir("d/e", "n"); a.Write("d/f") },
			func(a Area) { a.Move("d/e", "n/x"); a.Move("d/f", "n/x/f") }, []string{"d/e > n/x", "d/f > n/x/f"}, false},
		{"over another", func(a Area) { a.Write("f", "g") }, func(a Area) { a.Move("f", "g") }, []string{"f > g"}, false},
		{"twice", func(a Area) { a.Mkdir("d") }, func(a Area) { a.Move("d", "n"); a.Move("n", "m") }, []string{"d > n", "n > m"}, false},
		{"old, and new in its place", func(a Area) { a.Mkdir("live", "new") },
			func(a Area) { a.Move("live", "old"); a.Move("new", "live") }, []string{"live > old", "new > live"}, false},
		{"into a new directory", func(a Area) { a.Mkdir("d/e") }, func(a Area) { a.Mkdir("n"); a.Move("d", "n/d") }, []string{"d > n/d"}, true},
		{"deep into new directories", func(a Area) { a.Mkdir("d/e", "f") },
			func(a Area) { a.Mkdir("n/m"); a.Move("d/e", "n/m/e"); a.Move("f", "n/f") }, []string{"d/e > n/m/e", "f > n/f"}, true},
		{"out of the tree and into it", func(a Area) { a.Mkdir("d", "out:e") },
			func(a Area) { a.Move("d", "out:d"); a.Move("out:e", "e") }, nil, false},
		{"to and from what is excluded", func(a Area) { a.Mkdir("d", "e.skip") },
			func(a Area) { a.Move("d", "d.skip"); a.Move("e.skip", "e") }, nil, false},
		{"hostile names", func(a Area) { a.Mkdir("d"); a.Write("d/" + hostile[0]) }, func(a Area) {
			for i, n := range hostile[1:] {
				a.Move("d/"+hostile[i], "d/"+n)
			}
		}, chain, false},
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
			if tc.setting {
				slices.Sort(got)
				got = slices.Compact(got)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("renames %q, want %q", got, tc.want)
			}
			Must(t, w.End())
		})
	}
}
