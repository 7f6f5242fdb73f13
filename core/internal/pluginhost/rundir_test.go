package pluginhost

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func makeRunDir(t *testing.T, base string) *runDir {
	t.Helper()
	d, err := newRunDir([]string{base})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// shortTempDir is a t.TempDir with a path that is short enough for sockets.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "fw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestRunDir(t *testing.T) {
	base := shortTempDir(t)
	d := makeRunDir(t, base)
	if info, err := os.Stat(d.path); err != nil || info.Mode() != os.ModeDir|0o700 {
		t.Errorf("run directory: %v, %v", info, err)
	}
	if err := os.MkdirAll(filepath.Join(d.process(1), "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.remove(); err != nil || exists(d.path) {
		t.Errorf("remove: %v", err)
	}
}

func TestSweep(t *testing.T) {
	base := shortTempDir(t)
	living := makeRunDir(t, base)
	dead := makeRunDir(t, base)
	if err := os.WriteFile(filepath.Join(dead.path, "socket"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = dead.lock.Close() // as the end of its process does
	// None of these is a run directory.
	outside := filepath.Join(base, "keep")
	keep := []string{outside, filepath.Join(base, "filewatch-1-x"), filepath.Join(base, "filewatch"), filepath.Join(base, "filewatch-1")}
	for _, path := range keep {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file, link, open := filepath.Join(base, "filewatch-1-1"), filepath.Join(base, "filewatch-1-2"), filepath.Join(base, "filewatch-1-3")
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	keep = append(keep, file, link, open, living.path)
	next := makeRunDir(t, base)
	for _, path := range append(keep, next.path) {
		if !exists(path) {
			t.Errorf("%s was swept", path)
		}
	}
	if exists(dead.path) {
		t.Error("the directory of the dead owner is still there")
	}
}

// Owners that start at the same time do not sweep each other.
func TestRunDirsAtOnce(t *testing.T) {
	base := shortTempDir(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				d, err := newRunDir([]string{base})
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.Mkdir(d.process(1), 0o700); err != nil {
					t.Error(err)
				}
				if err := d.remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, _ := os.ReadDir(base); len(left) > 0 {
		t.Errorf("%d entries left", len(left))
	}
}

func TestRunDirBases(t *testing.T) {
	long := filepath.Join(shortTempDir(t), strings.Repeat("x", 60))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	short := shortTempDir(t)
	d, err := newRunDir([]string{"/nonexistent", long, short})
	if err != nil {
		t.Fatal(err)
	}
	defer d.remove()
	if filepath.Dir(d.path) != short {
		t.Errorf("run directory %s, want one in %s", d.path, short)
	}
	if left, _ := os.ReadDir(long); len(left) > 0 {
		t.Errorf("%d entries left in the directory that did not do", len(left))
	}
	_, err = newRunDir([]string{"/nonexistent", long})
	if err == nil || !strings.Contains(err.Error(), "path is too long for sockets") || !strings.Contains(err.Error(), "/nonexistent") {
		t.Errorf("newRunDir: %v, want both reasons", err)
	}
}
