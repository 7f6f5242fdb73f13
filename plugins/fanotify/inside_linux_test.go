package fanotify

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inside runs the test again in a process of its own that is started with attr, so that mounts of the
// machine are left alone. It reports true in that process.
func inside(t *testing.T, attr syscall.SysProcAttr) bool {
	t.Helper()
	const env = "FILEWATCH_TEST_INSIDE"
	if os.Getenv(env) == t.Name() {
		if attr.Cloneflags&unix.CLONE_NEWNS != 0 {
			must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		}
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	// Whatever is left mounted in there is gone when this process cleans up.
	temp := t.TempDir()
	must(t, os.Chmod(filepath.Dir(temp), 0o755))
	must(t, os.Chmod(temp, 0o777))
	cmd.Env = append(os.Environ(), env+"="+t.Name(), "TMPDIR="+temp)
	cmd.Dir = temp
	attr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr = &attr
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// ownMounts is for tests that mount something.
var ownMounts = syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
