package mounts

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// area is a root with mounts.
type area struct {
	t    *testing.T
	root string
}

func newArea(t *testing.T) area {
	a := area{t, filepath.Join(t.TempDir(), "root")}
	a.mkdir("")
	return a
}

func (a area) path(p string) string { return filepath.Join(a.root, p) }

func (a area) mkdir(p string) { a.t.Helper(); must(a.t, os.MkdirAll(a.path(p), 0o755)) }

func (a area) write(p string) {
	a.t.Helper()
	a.mkdir(filepath.Dir(p))
	must(a.t, os.WriteFile(a.path(p), []byte(p), 0o644))
}

// tmpfs mounts an empty file system, which ends with the test.
func (a area) tmpfs(p string) {
	a.t.Helper()
	must(a.t, unix.Mount("none", a.path(p), "tmpfs", 0, ""))
	a.t.Cleanup(func() { _ = unix.Unmount(a.path(p), unix.MNT_DETACH) })
}

func (a area) bind(from, to string) {
	a.t.Helper()
	must(a.t, unix.Mount(from, a.path(to), "", unix.MS_BIND, ""))
	a.t.Cleanup(func() { _ = unix.Unmount(a.path(to), unix.MNT_DETACH) })
}

func (a area) umount(p string) { a.t.Helper(); must(a.t, unix.Unmount(a.path(p), 0)) }
