package inotify

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

func TestLinkRaces(t *testing.T) {
	watchertest.RunLinkRaces(t, func(beforeRead func()) watchertest.Backend {
		tn := quick()
		tn.beforeRead = beforeRead
		return tn.watch
	})
}

func TestLinksOfMany(t *testing.T) { watchertest.RunLinksOfMany(t, quick().watch) }

// Where no file had several names, it is noticed that one gets another before something is not watched.
func TestFirstLink(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	a.Write("f")
	gate := watchertest.NewGate()
	tn := quick()
	tn.beforeRead = gate.Pass
	w := watchertest.Start(t, tn.watch, a.Root)
	unseen := func(op func()) {
		gate.Close()
		op()
		gate.Open()
		w.Prove()
	}
	unseen(func() { a.Write("x"); a.Remove("x") }) // no file with several names is found
	mark := w.Mark()
	unseen(func() {
		a.Link("f", "d/g")
		a.Mkdir("n")
		a.Link("f", "n/x")
		a.Write("n/x")
		a.Remove("n")
	})
	w.Named(mark, "f", "d/g")
	watchertest.Must(t, w.End())
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
