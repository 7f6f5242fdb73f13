package inotify

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

// TestLinkRaces holds up the events until it is all over. The unlucky moments in which a name is looked at
// too late are then certain.
func TestLinkRaces(t *testing.T) {
	for _, tc := range watchertest.LinkRaces {
		t.Run(tc.Name, func(t *testing.T) {
			watchertest.LeakCheck(t)
			a := watchertest.NewArea(t)
			a.Mkdir("d", "cache")
			a.Write("f", "other", "d/other")
			a.Link("f", "d/g")
			gate := watchertest.NewGate()
			tn := quick()
			tn.beforeRead = gate.Pass
			w := watchertest.Start(t, tn.watch, a.Root, "cache/", "*.skip")
			gate.Close()
			tc.Op(a)
			gate.Open()
			w.Prove()
			w.Covered(0, tc.Want...)
			watchertest.Must(t, w.End())
		})
	}
}

// TestLinksOfMany: each name of many files is found.
func TestLinksOfMany(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	var want []string
	for i := range 300 {
		one, other := fmt.Sprint("f", i), fmt.Sprint("d/", i)
		a.Write(one)
		a.Link(one, other)
		want = append(want, other)
	}
	w := watchertest.Start(t, quick().watch, a.Root)
	for i := range 300 {
		a.Write(fmt.Sprint("f", i))
		a.Remove(fmt.Sprint("f", i))
	}
	w.Prove()
	w.Covered(0, want...)
}

// A write or a chmod through one name of a file changes what is under all of its names.
func TestAllNamesOfAFileAreReported(t *testing.T) {
	root := t.TempDir()
	a := watchertest.Area{T: t, Root: root}
	a.Mkdir("x/deep/er", "y", "cache")
	a.Write("x/deep/er/file", "other")
	names := []string{"y/second", "third", "cache/fourth"}
	for _, name := range names {
		watchertest.Must(t, os.Link(a.Path("x/deep/er/file"), a.Path(name)))
	}
	w := watchertest.Start(t, defaultBackend, root, "cache/")
	for _, by := range []string{"x/deep/er/file", "third"} {
		for what, change := range map[string]func(){
			"write": func() { watchertest.Must(t, os.WriteFile(a.Path(by), []byte("new"), 0o644)) },
			"chmod": func() { watchertest.Must(t, os.Chmod(a.Path(by), 0o600)) },
		} {
			mark := w.Mark()
			change()
			w.Reports(mark, "x/deep/er/file", "y/second", "third")
			for _, c := range w.Since(mark) {
				if filepath.Dir(c.Path) == "cache" || c.Path == "other" {
					t.Errorf("a %s of %s reported %s", what, by, c)
				}
			}
		}
	}
}
