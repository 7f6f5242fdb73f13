//go:build !linux

package poll

import "golang.org/x/sys/unix"

// remote reports whether f is on a file system that another host may change.
func (f folder) remote() bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.file.Fd()), &st); err != nil {
		return true
	}
	return st.Flags&unix.MNT_LOCAL == 0
}
