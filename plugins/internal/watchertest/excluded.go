package watchertest

import (
	"os"
	"testing"
)

// Excluded checks that an excluded entry that comes or goes is told of as a change of its directory, which has a
// new modification time, and that nothing else is told of one.
func Excluded(t *testing.T, b Backend) {
	for _, tc := range []struct {
		name  string
		setup func(a Area)
		op    func(a Area)
		want  []string // all that is named
	}{
		{"create a file", nil, func(a Area) { a.Write("d/f.skip") }, []string{"d"}},
		{"create a file in the root", nil, func(a Area) { a.Write("f.skip") }, []string{""}},
		{"write and chmod", func(a Area) { a.Write("d/f.skip") },
			func(a Area) { a.Write("d/f.skip"); Must(a.T, os.Chmod(a.Path("d/f.skip"), 0o600)) }, nil},
		{"remove a file", func(a Area) { a.Write("d/f.skip") }, func(a Area) { a.Remove("d/f.skip") }, []string{"d"}},
		{"rename a file", func(a Area) { a.Write("d/f.skip") }, func(a Area) { a.Move("d/f.skip", "e/f.skip") }, []string{"d", "e"}},
		{"make a directory", nil, func(a Area) { a.Mkdir("d/dir.skip") }, []string{"d"}},
		{"fill and empty a directory", func(a Area) { a.Mkdir("d/dir.skip/sub") },
			func(a Area) { a.Write("d/dir.skip/f", "d/dir.skip/sub/f"); a.Remove("d/dir.skip/sub") }, nil},
		{"remove a directory", func(a Area) { a.Mkdir("d/dir.skip") }, func(a Area) { a.Remove("d/dir.skip") }, []string{"d"}},
		{"rename a directory", func(a Area) { a.Mkdir("d/dir.skip") }, func(a Area) { a.Move("d/dir.skip", "e/dir.skip") }, []string{"d", "e"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			LeakCheck(t)
			a := NewArea(t)
			a.Mkdir("d", "e")
			if tc.setup != nil {
				tc.setup(a)
			}
			w := Start(t, b, a.Root, "*.skip")
			mark := w.Mark()
			tc.op(a)
			a.Write("last")
			w.Covers(mark, "last")
			w.Only(mark, append(tc.want, "last")...)
			Must(t, w.End())
		})
	}
}
