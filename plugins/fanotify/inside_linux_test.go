package fanotify

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inside runs the test again in a process of its own, in new namespaces, so that limits and mounts of
// the machine are left alone. It reports true in that process.
func inside(t *testing.T, namespaces uintptr) bool {
	t.Helper()
	const env = "FILEWATCH_TEST_INSIDE"
	if os.Getenv(env) == t.Name() {
		if namespaces&unix.CLONE_NEWNS != 0 {
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
	must(t, os.Chmod(temp, 0o755))
	cmd.Env = append(os.Environ(), env+"="+t.Name(), "TMPDIR="+temp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	if namespaces&unix.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{Size: 1}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// setLimit sets a limit of the user namespace.
func setLimit(t *testing.T, name string, value int) {
	t.Helper()
	must(t, os.WriteFile("/proc/sys/user/"+name, []byte(strconv.Itoa(value)), 0o644))
}
