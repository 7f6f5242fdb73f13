package watchertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Inside runs the test again in a process of its own that is started with attr, so that mounts and limits of
// the machine are left alone. It reports true in that process.
func Inside(t *testing.T, attr syscall.SysProcAttr) bool {
	t.Helper()
	const env = "FILEWATCH_TEST_INSIDE"
	if os.Getenv(env) == t.Name() {
		if attr.Cloneflags&unix.CLONE_NEWNS != 0 {
			Must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		}
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	// Whatever is left mounted in there is gone when this process cleans up.
	temp := t.TempDir()
	Must(t, os.Chmod(filepath.Dir(temp), 0o755))
	Must(t, os.Chmod(temp, 0o777))
	cmd.Env = append(os.Environ(), env+"="+t.Name(), "TMPDIR="+temp)
	cmd.Dir = temp
	attr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr = &attr
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// OwnMounts is for tests that mount something.
var OwnMounts = syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}

// OwnUser is for tests that set limits of a user namespace, in which they are root.
var OwnUser = syscall.SysProcAttr{
	Cloneflags:  syscall.CLONE_NEWUSER,
	UidMappings: []syscall.SysProcIDMap{{Size: 1}},
	GidMappings: []syscall.SysProcIDMap{{Size: 1}},
}
