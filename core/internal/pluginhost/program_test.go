package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// copyFile copies an executable and returns its path and sha256.
func copyFile(t *testing.T, from, name string) (path, sum string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(data)
	return path, hex.EncodeToString(hash[:])
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExternalPlugins(t *testing.T) {
	binary, sum := copyFile(t, self(t), "filewatch-plugin-external")
	script := filepath.Join(t.TempDir(), "script $x 'y")
	text := "#!/bin/sh\nexec '" + strings.ReplaceAll(binary, "'", `'\''`) + "'\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte(text))
	scriptSum := hex.EncodeToString(hash[:])
	for name, program := range map[string]Program{
		"by its path":        {"external", binary, ""},
		"pinned":             {"external", binary, sum},
		"pinned, upper case": {"external", binary, strings.ToUpper(sum)},
		"script":             {"external", script, ""},
		"pinned script":      {"external", script, scriptSum},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := newTestHost(t, testTiming())
			d, err := h.Catalog([]Program{program}).Describe(t.Context(), "external")
			if err != nil || d.Name != "external" {
				t.Errorf("Describe = %+v, %v", d, err)
			}
		})
	}
}

// A plugin block with the name of a built-in plugin replaces it.
func TestExternalBeforeBuiltin(t *testing.T) {
	h, _ := newTestHost(t, testTiming())
	_, err := h.Catalog([]Program{{Name: "steady", Path: "/nonexistent"}}).Plugin("steady")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Catalog(nil).Describe(t.Context(), "steady"); err != nil {
		t.Errorf("another catalog's built-in plugin: %v", err)
	}
}

func TestOpenExternalRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name string
		Program
		want string
	}{
		{"missing", Program{Path: filepath.Join(dir, "missing")}, "no such file"},
		{"directory", Program{Path: dir}, "is not a file"},
		{"device", Program{Path: "/dev/null"}, "is not a file"},
		{"not executable", Program{Path: file("data", 0o644)}, "is not executable: run chmod +x on it"},
		{"group may write", Program{Path: file("group", 0o775)}, "can be written by others (mode 0775): run chmod go-w on it"},
		{"world may write", Program{Path: file("world", 0o757)}, "can be written by others (mode 0757)"},
		{"other content", Program{Path: file("other", 0o755), SHA256: strings.Repeat("0", 64)},
			"its sha256 is 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881, the configuration says 000"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			exe, err := openExternal(test.Program)
			if err == nil {
				exe.close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("openExternal: %v, want %q in it", err, test.want)
			}
		})
	}
}

// A FIFO must not hold up the daemon.
func TestOpenExternalFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if out, err := exec.Command("mkfifo", "-m", "755", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	refused := make(chan error, 1)
	go func() {
		_, err := openExternal(Program{Path: path})
		refused <- err
	}()
	if err := soon(t, "the refusal", refused, 5*time.Second); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("openExternal of a FIFO: %v", err)
	}
}
