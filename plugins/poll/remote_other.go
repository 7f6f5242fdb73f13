//go:build !linux

package poll

import "github.com/filewatch/filewatch/sdk/fstype"

// remote reports whether f is on a file system that another host may change.
func (f folder) remote() bool {
	t, err := fstype.OfFD(int(f.file.Fd()))
	return err != nil || t.Remote
}
