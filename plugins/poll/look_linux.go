package poll

import (
	"bytes"
	"encoding/binary"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openFlags never block and follow no symlink.
const openFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// wanted is what a look asks for; the mount is what tells a directory from a bind mount over it.
const wanted = unix.STATX_TYPE | unix.STATX_MODE | unix.STATX_UID | unix.STATX_GID | unix.STATX_MTIME |
	unix.STATX_CTIME | unix.STATX_INO | unix.STATX_SIZE | unix.STATX_MNT_ID

// folder is an open directory.
type folder struct{ fd int }

// openRoot opens the directory at path, following symlinks.
func openRoot(path string) (folder, error) {
	for {
		fd, err := unix.Open(path, openFlags&^unix.O_NOFOLLOW, 0)
		if err != unix.EINTR {
			return folder{fd}, err
		}
	}
}

// open opens the directory name, which ends in NUL, in f.
func (f folder) open(name []byte) (folder, error) {
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(f.fd), uintptr(unsafe.Pointer(&name[0])), openFlags, 0, 0, 0)
		switch errno {
		case 0:
			return folder{int(fd)}, nil
		case unix.EINTR:
		default:
			return folder{-1}, errno
		}
	}
}

func (f folder) close() { unix.Close(f.fd) }

// look fills e in with what is at name, which ends in NUL, in f; a symlink is not followed. An empty
// name is f itself. With fresh set it asks the server, where there is one, whatever is cached.
func (f folder) look(name []byte, e *entry, fresh bool) error {
	flags := uintptr(unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT)
	if len(name) == 1 {
		flags |= unix.AT_EMPTY_PATH
	}
	if fresh {
		flags |= unix.AT_STATX_FORCE_SYNC
	}
	var st unix.Statx_t
	for {
		_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(f.fd), uintptr(unsafe.Pointer(&name[0])), flags, wanted, uintptr(unsafe.Pointer(&st)), 0)
		if errno == 0 {
			break
		}
		if errno != unix.EINTR {
			return errno
		}
	}
	e.mtime = st.Mtime.Sec*int64(time.Second) + int64(st.Mtime.Nsec)
	e.ctime = st.Ctime.Sec*int64(time.Second) + int64(st.Ctime.Nsec)
	e.ino = st.Ino
	e.size = st.Size
	e.uid, e.gid = st.Uid, st.Gid
	e.mode = st.Mode
	// The kernel's device numbers have 12 and 20 bits. The factor spreads the mount's number over all bits.
	e.mount = st.Dev_major<<20 ^ st.Dev_minor ^ uint32(st.Mnt_id)*0x9e3779b1
	if t := st.Mode & typeMask; t == unix.S_IFBLK || t == unix.S_IFCHR {
		e.size = uint64(st.Rdev_major)<<32 | uint64(st.Rdev_minor)
	}
	return nil
}

// list calls add for every name, "." and ".." excepted, in f. Its type is 0 where the file system does
// not tell it.
func (f folder) list(buf []byte, add func(name []byte, mode uint16)) error {
	for {
		n, err := unix.ReadDirent(f.fd, buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return err
		}
		// struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name with NUL.
		for rest := buf[:n]; len(rest) > 19; {
			size := binary.NativeEndian.Uint16(rest[16:])
			record := rest[:size]
			rest = rest[size:]
			name := record[19:]
			name = name[:bytes.IndexByte(name, 0)]
			if string(name) != "." && string(name) != ".." {
				add(name, uint16(record[18])<<12) // DT_DIR and so on are the types of stat(2)
			}
		}
	}
}

// threadTime returns the processor time that the calling thread has used.
func threadTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
