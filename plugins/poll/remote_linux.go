package poll

import "github.com/filewatch/filewatch/sdk/fstype"

// remote reports whether f is on a file system whose attributes have to be asked for anew. When that
// cannot be told it says so: it costs time only.
func (f folder) remote() bool {
	t, err := fstype.OfFD(f.fd)
	return err != nil || t.Remote
}
