package poll

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inside runs the test again in a process of its own, in a new mount namespace or as another user. It
// reports true in that process.
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
	// Whatever is left mounted in there is gone when this process cleans up.
	temp := t.TempDir()
	must(t, os.Chmod(filepath.Dir(temp), 0o755))
	must(t, os.Chmod(temp, 0o777))
	exe := filepath.Join(temp, "test")
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(exe, self, 0o755))
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = temp
	cmd.Env = append(os.Environ(), env+"="+t.Name(), "TMPDIR="+temp)
	attr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr = &attr
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// newMounts is for tests that mount, nobody for tests of missing permissions.
var (
	newMounts = syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	nobody    = syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
)
