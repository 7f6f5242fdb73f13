package tree

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// maxLines bounds a listing of differences: more than a person reads.
const maxLines = 40

// Options say what a comparison looks at. The zero value compares everything but hard links.
type Options struct {
	// Ignore leaves out the entry at path, which is relative to the root, and all below it. For the
	// root itself, "", it leaves out only its attributes.
	Ignore func(path string) bool
	// IgnoreTimes leaves out modification times.
	IgnoreTimes bool
	// HardLinks also compares which paths are the same file.
	HardLinks bool
}

// Diff compares the trees at a and b: type, permissions with setuid, setgid and sticky, owner, group,
// modification time in nanoseconds, and the size and content of files, the target of symlinks, the
// numbers of devices. It returns "" when they are equal, otherwise one line for each difference, with
// quoted paths, up to a bound. The trees may change meanwhile.
func Diff(a, b string, o Options) (string, error) {
	return diff(a, b, o, true)
}

// WaitEqual waits until the trees at src and dst are equal as Diff sees them. When timeout is over it
// ends the test with the differences.
func WaitEqual(t testing.TB, src, dst string, timeout time.Duration, o Options) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		// Contents only once the rest is equal, or at the end: the trees may be large, and the machine is
		// busy making them equal.
		last := !time.Now().Before(deadline)
		d, err := diff(src, dst, o, last)
		if d == "" && err == nil && !last {
			d, err = diff(src, dst, o, true)
		}
		switch {
		case d == "" && err == nil:
			return
		case last && err != nil:
			t.Fatalf("not equal after %v: %v", timeout, err)
		case last:
			t.Fatalf("not equal after %v:\n%s", timeout, d)
		}
		time.Sleep(pause)
	}
}

func diff(a, b string, o Options, content bool) (string, error) {
	ta, err := read(a, scan{ignore: o.Ignore, content: content})
	if err != nil {
		return "", err
	}
	tb, err := read(b, scan{ignore: o.Ignore, content: content})
	if err != nil {
		return "", err
	}
	lines := compare(ta, tb, o)
	if len(lines) == 0 {
		return "", nil
	}
	head := fmt.Sprintf("a: %q (%d entries)\nb: %q (%d entries)\n", a, len(ta), b, len(tb))
	if more := len(lines) - maxLines; more > 0 {
		lines = append(lines[:maxLines], fmt.Sprintf("… and %d more", more))
	}
	return head + strings.Join(lines, "\n") + "\n", nil
}

// compare returns one line for each difference, in the order of the paths.
func compare(a, b Tree, o Options) []string {
	paths := map[string]bool{}
	for p := range a {
		paths[p] = true
	}
	for p := range b {
		paths[p] = true
	}
	var firstA, firstB map[string]string
	if o.HardLinks {
		firstA, firstB = a.firstLinks(), b.firstLinks()
	}
	var lines []string
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		ea, inA := a[p]
		eb, inB := b[p]
		var what string
		switch {
		case !inB:
			what = "only in a: " + ea.kind()
		case !inA:
			what = "only in b: " + eb.kind()
		default:
			what = differences(ea, eb, o)
			if firstA[p] != firstB[p] {
				what = join(what, fmt.Sprintf("hard link to a %s b %s", quote(firstA[p]), quote(firstB[p])))
			}
		}
		if what != "" {
			lines = append(lines, quote(p)+": "+what)
		}
	}
	return lines
}

func differences(a, b Entry, o Options) string {
	if a.kind() != b.kind() {
		return fmt.Sprintf("type a %s b %s", a.kind(), b.kind())
	}
	var what string
	add := func(differ bool, format string, args ...any) {
		if differ {
			what = join(what, fmt.Sprintf(format, args...))
		}
	}
	add(a.Mode != b.Mode, "mode a %04o b %04o", a.Mode&^unix.S_IFMT, b.Mode&^unix.S_IFMT)
	add(a.UID != b.UID, "uid a %d b %d", a.UID, b.UID)
	add(a.GID != b.GID, "gid a %d b %d", a.GID, b.GID)
	add(a.Rdev != b.Rdev, "device a %#x b %#x", a.Rdev, b.Rdev)
	add(a.Target != b.Target, "target a %s b %s", quote(a.Target), quote(b.Target))
	add(a.Size != b.Size, "size a %d b %d", a.Size, b.Size)
	add(a.Size == b.Size && a.Sum != b.Sum, "content differs (%d bytes, a %x… b %x…)", a.Size, a.Sum[:4], b.Sum[:4])
	add(a.Mtime != b.Mtime && !o.IgnoreTimes, "mtime a %s b %s", stamp(a.Mtime), stamp(b.Mtime))
	return what
}

// firstLinks returns, for each path that is not the only one of its file, the first such path.
func (t Tree) firstLinks() map[string]string {
	type file struct{ dev, ino uint64 }
	groups := map[file][]string{}
	for p, e := range t {
		if e.Mode&unix.S_IFMT != unix.S_IFDIR {
			groups[file{e.dev, e.ino}] = append(groups[file{e.dev, e.ino}], p)
		}
	}
	first := map[string]string{}
	for _, paths := range groups {
		if len(paths) > 1 {
			for _, p := range paths {
				first[p] = slices.Min(paths)
			}
		}
	}
	return first
}

func (e Entry) kind() string {
	switch e.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symlink"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFCHR:
		return "character device"
	case unix.S_IFBLK:
		return "block device"
	}
	return fmt.Sprintf("type %#o", e.Mode&unix.S_IFMT)
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// quote shows every byte, and tells composed from decomposed letters.
func quote(s string) string { return strconv.QuoteToASCII(s) }

func stamp(ns int64) string {
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z")
}
