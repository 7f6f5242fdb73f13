package rsync

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// positionOf looks at an rsync that sends what is below roots, which are names of one directory. It asks nothing of the
// file system that the files are on, which may not answer.
func positionOf(pid int, roots []string) position {
	proc := "/proc/" + strconv.Itoa(pid) + "/"
	at := position{wrote: field(read(proc+"io"), "wchar:", 10)}
	dir, err := os.Open(proc + "fd")
	if err != nil {
		return at
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		link, _ := os.Readlink(proc + "fd/" + name)
		if !slices.ContainsFunc(roots, func(root string) bool { return strings.HasPrefix(link, withSlash(root)) }) {
			continue
		}
		// That is one file at a time, and directories. Below "/" is also what it was started with, such as /dev/null.
		info := read(proc + "fdinfo/" + name)
		flags := field(info, "flags:", 8)
		if info != "" && flags&(unix.O_ACCMODE|unix.O_DIRECTORY|unix.O_PATH) == unix.O_RDONLY {
			at.open, at.read = true, max(at.read, field(info, "pos:", 10))
		}
	}
	return at
}

// field returns the number in the line of a text that begins with key, 0 if there is none.
func field(text, key string, base int) uint64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(rest), base, 64)
			return n
		}
	}
	return 0
}
