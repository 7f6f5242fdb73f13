package pluginhost

import (
	"os"
	"os/exec"
	"testing"
)

// What was hashed is what runs, whoever replaces the file in between.
func TestPinnedFileIsReplaced(t *testing.T) {
	good, sum := copyFile(t, "/bin/true", "plugin")
	bad, _ := copyFile(t, "/bin/false", "plugin")
	exe, err := openExternal(Program{Path: good, SHA256: sum})
	if err != nil {
		t.Fatal(err)
	}
	defer exe.close()
	if err := os.Rename(bad, good); err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: exe.path, Args: exe.args}
	if err := cmd.Run(); err != nil {
		t.Errorf("the replaced file ran: %v", err)
	}
}

// After an upgrade of the file, a running daemon goes on with the version that it is.
func TestOwnExecutableAfterUpgrade(t *testing.T) {
	path, _ := copyFile(t, self(t), "daemon")
	cmd := exec.Command(path, "own-executable")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	ask := func() string {
		t.Helper()
		if _, err := in.Write([]byte{'\n'}); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 4096)
		n, err := out.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer[:n])
	}
	if got := ask(); got != path {
		t.Errorf("own executable %q, want %q", got, path)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != "/proc/self/exe" {
		t.Errorf("own executable after its removal %q, want /proc/self/exe", got)
	}
	if err := os.WriteFile(path, []byte("new version"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != "/proc/self/exe" {
		t.Errorf("own executable after an upgrade %q, want /proc/self/exe", got)
	}
}
