package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/core/internal/guard"
)

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path, Owner{PID: os.Getpid(), Started: noon})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new [odd]", "dir")
	d := open(t, path)
	if s, err := d.Load("site"); err != nil || !cmp.Equal(s, Sync{}) {
		t.Errorf("a first run: %+v, %v", s, err)
	}
	for n := range uint64(3) {
		if err := d.Save("site", example(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Save("site.json", example(9)); err != nil {
		t.Fatal(err)
	}
	// What an interrupted Save leaves.
	if err := os.WriteFile(filepath.Join(path, ".site.json.123.tmp"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Save("site", example(7)); err == nil {
		t.Error("saved after Close")
	}
	d = open(t, path)
	if s, err := d.Load("site"); err != nil || !cmp.Equal(s, example(2)) {
		t.Errorf("%+v, %v", s, err)
	}
	if got, want := names(t, path), []string{"lock", "site.json", "site.json.json"}; !cmp.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "lock": 0o600, "site.json": 0o600} {
		if info, err := os.Stat(filepath.Join(path, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", name, info.Mode(), err)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".x", "a\x00", strings.Repeat("n", 300)} {
		if err := d.Save(name, Sync{}); err == nil {
			t.Errorf("saved %q", name)
		}
		if _, err := d.Load(name); err == nil {
			t.Errorf("loaded %q", name)
		}
	}
}

// TestPutAside: a file that cannot be used is a first run, and is kept.
func TestPutAside(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	file := filepath.Join(path, "s.json")
	write := func(text string) func() error {
		return func() error { return os.WriteFile(file, []byte(text), 0o600) }
	}
	for _, test := range []struct {
		name, want string
		make       func() error
	}{
		{"damaged", "s.json.damaged", write(`{"version":1`)},
		{"damaged again", "s.json.damaged.2", write("")},
		{"newer", "s.json.version7", write(`{"version":7}`)},
		{"directory", "s.json.unreadable", func() error { return os.Mkdir(file, 0o700) }},
		{"fifo", "s.json.unreadable.2", func() error { return syscall.Mkfifo(file, 0o600) }},
		{"link", "s.json.unreadable.3", func() error { return os.Symlink("/dev/zero", file) }},
		{"huge", "s.json.unreadable.4", func() error {
			return errors.Join(write("")(), os.Truncate(file, 1<<40))
		}},
	} {
		if err := test.make(); err != nil {
			t.Fatal(err)
		}
		s, err := d.Load("s")
		if err == nil || !strings.Contains(err.Error(), filepath.Join(path, test.want)) || !cmp.Equal(s, Sync{}) {
			t.Errorf("%s: %+v, %v", test.name, s, err)
		}
		if _, err := os.Lstat(filepath.Join(path, test.want)); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if _, err := d.Load("s"); err != nil {
			t.Errorf("%s, once more: %v", test.name, err)
		}
	}
}

func TestInUse(t *testing.T) {
	path := t.TempDir()
	d, err := Open(path, Owner{PID: 4711, Started: time.Now(), Configs: []guard.Path{"/etc/filewatch", "a\n\xff.hcl"}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := Open(path, Owner{})
	inUse, ok := errors.AsType[*InUseError](err)
	if !ok || second != nil || inUse.Owner.PID != 4711 {
		t.Fatalf("%v, %v", second, err)
	}
	for _, want := range []string{path, "process id 4711", "/etc/filewatch", `"a\n\xff.hcl"`, "state_dir"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if err := os.WriteFile(filepath.Join(path, "lock"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Owner{}); err == nil || !strings.Contains(err.Error(), "used by another filewatch") {
		t.Errorf("a lock file that cannot be read: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

// TestAllAtOnce: of many that open a new directory at the same time, one gets it.
func TestAllAtOnce(t *testing.T) {
	for range 50 {
		path := filepath.Join(t.TempDir(), "dir")
		dirs := make([]*Dir, 8)
		var wg sync.WaitGroup
		for i := range dirs {
			wg.Go(func() {
				var err error
				dirs[i], err = Open(path, Owner{PID: i})
				if _, inUse := errors.AsType[*InUseError](err); err != nil && !inUse {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := 0
		for _, d := range dirs {
			if d != nil {
				got++
				_ = d.Close()
			}
		}
		if got != 1 {
			t.Fatalf("%d have it", got)
		}
	}
}

// TestDirectoryRemoved: the directory is made and locked anew, and whoever was faster has it.
func TestDirectoryRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir")
	d := open(t, path)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := d.Save("s", example(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Owner{}); err == nil {
		t.Error("the new directory is not locked")
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	open(t, path)
	if _, ok := errors.AsType[*InUseError](d.Save("s", example(2))); !ok {
		t.Error("two have the same directory")
	}
}

func TestUnusable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Open(filepath.Join(file, "dir"), Owner{})
	if err == nil || d == nil {
		t.Fatalf("%v, %v", d, err)
	}
	if s, err := d.Load("s"); err == nil || !cmp.Equal(s, Sync{}) {
		t.Errorf("%+v, %v", s, err)
	}
	if err := d.Save("s", example(1)); err == nil {
		t.Error("saved")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := d.Save("s", example(1)); err != nil {
		t.Errorf("once it can be used: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
