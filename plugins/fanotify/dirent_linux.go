package fanotify

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// dirent is one entry of a directory. Its name is only valid until the next one is read: most entries
// are files that nobody asks for, and not worth a string.
type dirent struct {
	name []byte
	ino  uint64
	kind byte // DT_DIR and so on; DT_UNKNOWN where the file system does not tell
}

// isDir reports whether the entry, in the directory that dir is open on, is a directory. It looks at
// the entry only where the file system did not tell.
func (e dirent) isDir(dir int) bool {
	if e.kind != unix.DT_UNKNOWN {
		return e.kind == unix.DT_DIR
	}
	var st unix.Stat_t
	return unix.Fstatat(dir, string(e.name), &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// readDir calls f for every entry, "." and ".." excepted, of the directory that fd is open on. A
// directory that was removed meanwhile is empty.
func readDir(fd int, buf []byte, f func(dirent)) error {
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
				f(dirent{name: name, ino: binary.NativeEndian.Uint64(entry), kind: entry[18]})
			}
		}
	}
}
