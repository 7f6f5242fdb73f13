// Package dirent opens and reads directories without looking at what is in them.
package dirent

import (
	"bytes"
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
)

// Flags open a directory. They never block and follow no symlink.
const Flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// Open opens name in the directory that dir is open on.
func Open(dir int, name string, flags int) (fd int, err error) {
	for {
		if fd, err = unix.Openat(dir, name, flags, 0); err != unix.EINTR {
			return fd, err
		}
	}
}

// OpenBelow opens the directory at path, which is relative to root and may be longer than the kernel
// takes at once. The root may be a symlink.
func OpenBelow(root, path string) (fd int, err error) {
	if fd, err = Open(unix.AT_FDCWD, root, Flags&^unix.O_NOFOLLOW); path == "" {
		return fd, err
	}
	for err == nil && path != "" {
		part, flags := path, Flags
		if len(part) >= unix.PathMax {
			part, flags = part[:strings.LastIndexByte(part[:unix.PathMax], '/')], flags|unix.O_PATH
		}
		path = strings.TrimPrefix(path[len(part):], "/")
		up := fd
		fd, err = Open(up, part, flags)
		unix.Close(up)
	}
	return fd, err
}

// noName is longer than a name can be.
var noName = strings.Repeat("-", unix.NAME_MAX+1)

// Settle waits until the changes of names in the directory at path, relative to the one that dir is open on,
// that are under way are complete, and have been told of by inotify and fanotify. Before that, a file may be
// seen under a name that is no longer counted, or not yet missing where no event has told of its removal.
func Settle(dir int, path string) {
	// The kernel locks a directory from before it changes a name until it has told of that. It locks it
	// as well to look for a name that it does not remember, and does not remember what is too long.
	var st unix.Stat_t
	_ = unix.Fstatat(dir, relpath.Join(path, noName), &st, unix.AT_SYMLINK_NOFOLLOW)
}

// Entry is one entry of a directory. Its name is only valid until the next one is read: most entries
// are files that nobody asks for, and not worth a string.
type Entry struct {
	Name []byte
	Ino  uint64
	Kind byte // DT_DIR and so on; DT_UNKNOWN where the file system does not tell
}

// IsDir reports whether the entry, in the directory that dir is open on, is a directory. It looks at
// the entry only where the file system did not tell.
func (e Entry) IsDir(dir int) bool {
	if e.Kind != unix.DT_UNKNOWN {
		return e.Kind == unix.DT_DIR
	}
	var st unix.Stat_t
	return unix.Fstatat(dir, string(e.Name), &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// Read calls f for every entry, "." and ".." excepted, of the directory that fd is open on. A directory
// that was removed meanwhile is empty.
func Read(fd int, buf []byte, f func(Entry)) error {
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			if err == unix.ENOENT {
				err = nil
			}
			return err
		}
		// struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name with NUL.
		for rest := buf[:n]; len(rest) > 19; {
			size := binary.NativeEndian.Uint16(rest[16:])
			entry := rest[:size]
			rest = rest[size:]
			name, _, _ := bytes.Cut(entry[19:], []byte{0})
			if string(name) != "." && string(name) != ".." {
				f(Entry{Name: name, Ino: binary.NativeEndian.Uint64(entry), Kind: entry[18]})
			}
		}
	}
}
