package inotify

import (
	"os"
	"path/filepath"
	"testing"
)

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
