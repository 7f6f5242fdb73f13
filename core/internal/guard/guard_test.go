package guard

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	root, away := filepath.Join(dir, "root"), filepath.Join(dir, "away")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	g := New(root, true)
	check := func(want string) {
		t.Helper()
		err := g.Check()
		switch {
		case want == "" && err != nil:
			t.Errorf("refused: %v", err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}

	check("does not exist")
	must(os.WriteFile(root, nil, 0o600))
	check("not a directory")
	must(os.Remove(root))
	must(os.Mkdir(root, 0o700))
	check("is empty") // a disk that is not mounted yet
	must(os.WriteFile(filepath.Join(root, "file"), nil, 0o600))
	check("")
	must(os.Remove(filepath.Join(root, "file")))
	check("is empty")
	must(os.WriteFile(filepath.Join(root, "other"), nil, 0o600))
	check("")
	must(os.Rename(root, away))
	check("does not exist")
	must(os.Mkdir(root, 0o700)) // re-created, as someone would after a disk was not mounted
	check("not the directory it was")
	must(os.Remove(root))
	must(os.Rename(away, root))
	check("")
	must(os.Rename(root, away))
	must(os.Symlink(away, root)) // the same directory through a link
	check("")
}

func TestEmptySourceThatDeletesNothing(t *testing.T) {
	if err := New(t.TempDir(), false).Check(); err != nil {
		t.Error(err)
	}
}
