package inotify

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk/wire"
)

// TestOracle runs the random tree oracle. The watched directories must be exactly those that exist.
func TestOracle(t *testing.T) {
	watchertest.Oracle{
		Watch: func(seed uint64) (watchertest.Backend, bool) {
			tn := production
			tn.tidy = time.Duration(1+seed%3*10) * time.Millisecond
			lossy := seed%5 == 0
			if lossy {
				tn.queueLimit = 3000 // some fifty events, so that many are lost
			}
			return tn.watch, lossy
		},
		Quiet: func(w *watchertest.Watched, dirs []string, _ int, _ bool) {
			watchesExactly(w.T, w, w.Root, dirs)
		},
		Blind: true,
	}.Run(t, 40)
}

// runDir is where the directory for barriers is made.
func runDir() string {
	if dir := os.Getenv(wire.EnvRunDir); dir != "" {
		return dir
	}
	return os.TempDir()
}

// watchesExactly waits until the kernel says that exactly the directories at paths are watched.
func watchesExactly(t testing.TB, w *watchertest.Watched, root string, paths []string) {
	t.Helper()
	want := make(map[uint64]string)
	for _, p := range paths {
		var st unix.Stat_t
		watchertest.Must(t, unix.Lstat(filepath.Join(root, p), &st))
		want[st.Ino] = p
	}
	w.Eventually(func() string {
		got := watchedInodes(t)
		for ino, p := range want {
			if !got[ino] {
				return fmt.Sprintf("%q is not watched", p)
			}
		}
		if len(got) > len(want) {
			return fmt.Sprintf("%d watches for %d directories", len(got), len(want))
		}
		return ""
	})
}

// watchedInodes returns what this process watches but for the directory of its barriers; it must have one
// inotify instance.
func watchedInodes(t testing.TB) map[uint64]bool {
	t.Helper()
	inodes := make(map[uint64]bool)
	entries, err := os.ReadDir("/proc/self/fd")
	watchertest.Must(t, err)
	instances := 0
	for _, e := range entries {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); to != "anon_inode:inotify" {
			continue
		}
		instances++
		info, err := os.ReadFile("/proc/self/fdinfo/" + e.Name())
		watchertest.Must(t, err)
		for line := range strings.Lines(string(info)) {
			var wd, ino uint64
			if n, _ := fmt.Sscanf(line, "inotify wd:%x ino:%x", &wd, &ino); n == 2 {
				inodes[ino] = true
			}
		}
	}
	if instances != 1 {
		t.Fatalf("%d inotify instances", instances)
	}
	own, _ := filepath.Glob(filepath.Join(runDir(), "barrier-*"))
	for _, p := range own {
		var st unix.Stat_t
		if unix.Lstat(p, &st) == nil {
			delete(inodes, st.Ino)
		}
	}
	return inodes
}
