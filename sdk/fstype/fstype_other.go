//go:build !linux

package fstype

import (
	"os"

	"golang.org/x/sys/unix"
)

// Of returns the type of the file system that path is on. It follows a symbolic link, and blocks as
// long as a server does not answer.
func Of(path string) (Type, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Type{}, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return fromStatfs(&st), nil
}

// OfFD returns the type of the file system that an open file is on.
func OfFD(fd int) (Type, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return Type{}, os.NewSyscallError("fstatfs", err)
	}
	return fromStatfs(&st), nil
}

func fromStatfs(st *unix.Statfs_t) Type {
	return Type{Name: unix.ByteSliceToString(st.Fstypename[:]), Remote: st.Flags&unix.MNT_LOCAL == 0}
}
