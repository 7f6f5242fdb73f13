//go:build !linux

package guard

import (
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// disk looks at real directories.
type disk struct{}

func newDisk() Looker { return disk{} }

// Look implements Looker.
func (disk) Look(root string, ignored func(string, bool) bool) (s Sight, err error) {
	f, err := os.OpenFile(root, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return s, err
	}
	defer f.Close()
	if s.Empty, err = empty(f, ignored); err != nil {
		return s, err
	}
	info, err := f.Stat()
	if err != nil {
		return s, err
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return s, &os.PathError{Op: "fstatfs", Path: root, Err: err}
	}
	s.Identity = Identity{
		Type:  unix.ByteSliceToString(fs.Fstypename[:]),
		Inode: info.Sys().(*syscall.Stat_t).Ino,
		Mount: Mount{
			Point:  Path(unix.ByteSliceToString(fs.Mntonname[:])),
			Source: Path(unix.ByteSliceToString(fs.Mntfromname[:])),
		},
	}
	if path, err := filepath.EvalSymlinks(root); err == nil {
		s.Identity.Path = Path(path)
	}
	return s, nil
}

// openDir opens a directory for nothing but to have it open.
func openDir(path string) (fd int, err error) {
	return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// Mounted implements Looker.
func (disk) Mounted(point Path) bool {
	var fs unix.Statfs_t
	if err := unix.Statfs(string(point), &fs); err != nil {
		return false
	}
	return unix.ByteSliceToString(fs.Mntonname[:]) == string(point)
}
