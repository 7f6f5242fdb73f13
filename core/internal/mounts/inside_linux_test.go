package mounts

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace runs the test again in a process of its own, in a new mount namespace. It reports true in that
// process.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const env = "FILEWATCH_TEST_INSIDE"
	if os.Getenv(env) == t.Name() {
		must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	temp := t.TempDir() // whatever is left mounted in there is gone when this process cleans up
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = temp
	cmd.Env = append(os.Environ(), env+"="+t.Name(), "TMPDIR="+temp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

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
