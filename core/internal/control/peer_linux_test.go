package control

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// nobody is the user of what must be refused.
const nobody = 65534

// as runs a child as another user and returns what it says.
func as(t *testing.T, uid uint32, cmd *exec.Cmd) string {
	t.Helper()
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestOthersAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	d := &fake{}
	_, _, path := serve(t, d)
	// The directories above are passable, so that it is ours that keeps others out.
	dir := filepath.Dir(path)
	for above := filepath.Dir(dir); above != os.TempDir(); above = filepath.Dir(above) {
		if err := os.Chmod(above, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out := as(t, nobody, child(connectEnv, path)); !strings.Contains(out, "permission denied") {
		t.Error("by the directory:", out)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out := as(t, nobody, child(connectEnv, path)); !strings.Contains(out, "permission denied") {
		t.Error("by the socket:", out)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if out := as(t, nobody, child(connectEnv, path)); out == "<nil>" || strings.Contains(out, "permission denied") {
		t.Error("by the daemon:", out)
	}
	if n := d.asked.Load(); n != 0 {
		t.Errorf("others have asked %d times", n)
	}
	if out := as(t, 0, child(connectEnv, path)); out != "<nil>" {
		t.Error("root:", out)
	}
	// Nor does another user trust a socket that is not its own.
	if out := as(t, nobody, child(askEnv, dir)); !strings.Contains(out, "belongs to another user (uid 0)") {
		t.Error("client:", out)
	}
}

func TestRootAsksAnothersDaemon(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	base := t.TempDir()
	for _, dir := range []string{base, filepath.Dir(base)} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(base, "run")
	cmd := child(serveEnv, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	serving(t, cmd)
	// The daemon answers root, but root believes only its own.
	if out := as(t, 0, child(connectEnv, socketIn(dir, "/state"))); out != "<nil>" {
		t.Error(out)
	}
	if _, err := newClient([]string{dir}, "/state").Status(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "belongs to another user (uid 65534)") {
		t.Error(err)
	}
	if out := as(t, nobody, child(askEnv, dir)); out != "<nil>" {
		t.Error(out)
	}
}

// serving starts a child that serves until the end of the test.
func serving(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Dir = "/"
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if said, err := bufio.NewReader(stdout).ReadString('\n'); said != "serving\n" {
		t.Fatal(said, err)
	}
}

// TestDaemonThatWasKilled: its socket is replaced, and as long as it lives it is named.
func TestDaemonThatWasKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	cmd := child(serveEnv, dir)
	serving(t, cmd)
	config := Config{"/state", &fake{}, hclog.NewNullLogger()}
	_, err := start(config, []string{dir})
	if running := (*runningError)(nil); !errors.As(err, &running) || running.pid != cmd.Process.Pid {
		t.Errorf("%v, want pid %d", err, cmd.Process.Pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	s, err := start(config, []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, err := newClient([]string{dir}, "/state").Status(t.Context(), ""); err != nil || r.PID != os.Getpid() {
		t.Error(r.PID, err)
	}
}

// TestLockOfADirectoryThatIsReplaced: who waited for the lock of one that was removed meanwhile, and made
// again, gets that of the new one.
func TestLockOfADirectoryThatIsReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	unlock, err := makeLocked(dir)
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan func())
	go func() {
		unlock, err := makeLocked(dir)
		if err != nil {
			t.Error(err)
		}
		waited <- unlock
	}()
	opened := func() (n int) {
		fds, _ := filepath.Glob("/proc/self/fd/*")
		for _, fd := range fds {
			if to, _ := os.Readlink(fd); to == dir {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(patience); opened() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("timed out waiting for the other one")
		}
	}
	if err := errors.Join(os.Remove(dir), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	unlock()
	defer within(t, "the lock", waited)()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("the new directory is not locked: %v", err)
	}
}
