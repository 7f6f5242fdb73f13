//go:build !linux

package poll

import (
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// openFlags never block and follow no symlink.
const openFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// folder is an open directory.
type folder struct{ file *os.File }

// openRoot opens the directory at path, following symlinks.
func openRoot(path string) (folder, error) {
	fd, err := unix.Open(path, openFlags&^unix.O_NOFOLLOW, 0)
	if err != nil {
		return folder{}, err
	}
	return folder{os.NewFile(uintptr(fd), path)}, nil
}

// open opens the directory name, which ends in NUL, in f.
func (f folder) open(name []byte) (folder, error) {
	fd, err := unix.Openat(int(f.file.Fd()), string(name[:len(name)-1]), openFlags, 0)
	if err != nil {
		return folder{}, err
	}
	return folder{os.NewFile(uintptr(fd), string(name[:len(name)-1]))}, nil
}

func (f folder) close() { f.file.Close() }

// look fills e in with what is at name, which ends in NUL, in f; a symlink is not followed. An empty
// name is f itself.
func (f folder) look(name []byte, e *entry, _ bool) error {
	var st unix.Stat_t
	var err error
	if len(name) == 1 {
		err = unix.Fstat(int(f.file.Fd()), &st)
	} else {
		err = unix.Fstatat(int(f.file.Fd()), string(name[:len(name)-1]), &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return err
	}
	e.mtime, e.ctime = st.Mtim.Nano(), st.Ctim.Nano()
	e.ino = uint64(st.Ino)
	e.size = uint64(st.Size)
	e.uid, e.gid = st.Uid, st.Gid
	e.mode = uint16(st.Mode)
	e.mount = uint32(st.Dev)
	if t := uint32(st.Mode) & typeMask; t == unix.S_IFBLK || t == unix.S_IFCHR {
		e.size = uint64(st.Rdev)
	}
	return nil
}

// list calls add for every name in f. Its type is 0 where it is not told, or neither a directory nor
// a file.
func (f folder) list(_ []byte, add func(name []byte, mode uint16)) error {
	entries, err := f.file.ReadDir(-1)
	for _, e := range entries {
		mode := uint16(0)
		switch e.Type() {
		case fs.ModeDir:
			mode = unix.S_IFDIR
		case 0:
			mode = unix.S_IFREG
		}
		add([]byte(e.Name()), mode)
	}
	return err
}

// threadTime returns 0: it is not known how long a thread has worked.
func threadTime() time.Duration { return 0 }
