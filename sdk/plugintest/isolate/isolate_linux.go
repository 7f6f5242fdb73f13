package isolate

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// OwnMounts is for tests that mount something.
var OwnMounts = syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}

// OwnUser is for tests that set limits of a user namespace, in which they are root.
var OwnUser = syscall.SysProcAttr{
	Cloneflags:  syscall.CLONE_NEWUSER,
	UidMappings: []syscall.SysProcIDMap{{Size: 1}},
	GidMappings: []syscall.SysProcIDMap{{Size: 1}},
}

// Nobody is for tests of missing permissions.
var Nobody = syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}

// env names the test, or all of them, that a process was started for.
const env = "FILEWATCH_TEST_INSIDE"

// Run runs the test again in a process of its own that is started with attr. It reports true in that
// process, and false, with the other's result as the test's, in the one that waits for it.
func Run(t *testing.T, attr syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(env) == t.Name() {
		if err := private(attr); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	// Whatever is left mounted in there is gone when this process cleans up.
	temp := t.TempDir()
	for dir, mode := range map[string]os.FileMode{filepath.Dir(temp): 0o755, temp: 0o777} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	cmd := command(attr, "-test.run=^"+t.Name()+"$", "-test.v")
	// The race detector would have each process wait for a second at its end.
	cmd.Env = append(os.Environ(), env+"="+t.Name(), "TMPDIR="+temp, "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	cmd.Dir = temp
	if out, err := combinedOutput(cmd); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// Main runs all tests of a package in one process with mounts of its own, where that is possible: as root.
// It is for TestMain and returns the exit code.
func Main(m *testing.M) int {
	if os.Geteuid() != 0 {
		return m.Run()
	}
	const all = "*"
	if os.Getenv(env) != "" {
		if err := private(OwnMounts); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}
	cmd := command(OwnMounts, os.Args[1:]...)
	cmd.Env = append(os.Environ(), env+"="+all)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := locked(cmd.Run)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mount namespace:", err)
		return 1
	}
	return 0
}

// private keeps what is mounted from now on to this process.
func private(attr syscall.SysProcAttr) error {
	if attr.Cloneflags&unix.CLONE_NEWNS == 0 {
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}

// command is this test program once more. It ends with the thread that starts it.
func command(attr syscall.SysProcAttr, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	attr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr = &attr
	return cmd
}

func combinedOutput(cmd *exec.Cmd) (out []byte, err error) {
	err = locked(func() error {
		out, err = cmd.CombinedOutput()
		return err
	})
	return out, err
}

// locked calls run on a thread that does not end before it.
func locked(run func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return run()
}
