package dirent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read returns the names in the directory at path below root.
func read(t *testing.T, root, path string) (names []string) {
	t.Helper()
	fd, err := OpenBelow(root, path)
	must(t, err)
	defer unix.Close(fd)
	must(t, Read(fd, make([]byte, 1<<10), func(e Entry) {
		var st unix.Stat_t
		must(t, unix.Fstatat(fd, string(e.Name), &st, unix.AT_SYMLINK_NOFOLLOW))
		if st.Ino != e.Ino || e.IsDir(fd) != (st.Mode&unix.S_IFMT == unix.S_IFDIR) {
			t.Errorf("%q is %+v", e.Name, e)
		}
		e.Kind = unix.DT_UNKNOWN
		if e.IsDir(fd) != (st.Mode&unix.S_IFMT == unix.S_IFDIR) {
			t.Errorf("%q is %+v where the kind is not told", e.Name, e)
		}
		names = append(names, string(e.Name))
	}))
	slices.Sort(names)
	return names
}

func TestRead(t *testing.T) {
	root := t.TempDir()
	want := trees.HostileNames()
	for i, name := range want {
		if i%2 == 0 {
			must(t, os.Mkdir(filepath.Join(root, name), 0o755))
		} else {
			must(t, os.WriteFile(filepath.Join(root, name), nil, 0o644))
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, read(t, root, "")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestReadRemoved(t *testing.T) {
	root := t.TempDir()
	must(t, os.Mkdir(root+"/d", 0o755))
	fd, err := OpenBelow(root, "d")
	must(t, err)
	defer unix.Close(fd)
	must(t, os.Remove(root+"/d"))
	must(t, Read(fd, make([]byte, 1<<10), func(e Entry) { t.Errorf("there is %q", e.Name) }))
	Settle(fd, "")
}

// The path may be longer than the kernel takes at once, in steps of any length.
func TestOpenBelow(t *testing.T) {
	for _, length := range []int{1, 99, 255} {
		root := t.TempDir()
		name := strings.Repeat("d", length)
		fd, err := unix.Open(root, Flags, 0)
		must(t, err)
		depth := 3*unix.PathMax/(length+1) + 1
		for range depth {
			must(t, unix.Mkdirat(fd, name, 0o755))
			next, err := Open(fd, name, Flags)
			must(t, err)
			unix.Close(fd)
			fd = next
		}
		must(t, unix.Mkdirat(fd, "bottom", 0o755))
		unix.Close(fd)
		path := strings.TrimSuffix(strings.Repeat(name+"/", depth), "/")
		if got := read(t, root, path); !slices.Equal(got, []string{"bottom"}) {
			t.Errorf("names of %d bytes: got %q", length, got)
		}
	}
	root := t.TempDir()
	must(t, os.Symlink(".", root+"/l"))
	if got := read(t, root+"/l", ""); !slices.Equal(got, []string{"l"}) {
		t.Errorf("the root may be a symlink: got %q", got)
	}
	for path, want := range map[string]error{"l": unix.ENOTDIR, "no": unix.ENOENT, "no/more": unix.ENOENT} {
		if fd, err := OpenBelow(root, path); err != want {
			t.Errorf("%s: got %d, %v", path, fd, err)
		}
	}
	if _, err := OpenBelow(root+"/no", "l"); err != unix.ENOENT {
		t.Errorf("missing root: %v", err)
	}
}
