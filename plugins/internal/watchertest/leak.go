package watchertest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// LeakCheck fails the test when goroutines of a watcher or open files are left at its end.
func LeakCheck(t testing.TB) {
	t.Helper()
	before := OpenFiles()
	t.Cleanup(func() {
		var stacks, files string
		for deadline := time.Now().Add(Patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			stacks = running()
			files = ""
			if after := OpenFiles(); len(after) > len(before) {
				files = fmt.Sprintf("%v", after)
			}
			if stacks == "" && files == "" {
				return
			}
		}
		t.Errorf("left behind: files %s, goroutines\n%s", files, stacks)
	})
}

// running returns the stacks of the goroutines that run methods of the plugins.
func running() string {
	buf := make([]byte, 1<<20)
	var left []string
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "/plugins/") && strings.Contains(stack, ".(*") && !strings.Contains(stack, "watchertest.running") &&
			!strings.Contains(stack, "testing.tRunner") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// OpenFiles returns what the open files of this process are.
func OpenFiles() (open []string) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		// The runtime opens some for itself when it first needs them.
		if err == nil && !strings.HasPrefix(to, "anon_inode:[event") && !strings.HasPrefix(to, "/sys/fs/cgroup/") {
			open = append(open, to)
		}
	}
	return open
}
