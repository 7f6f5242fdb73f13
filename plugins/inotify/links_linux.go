package inotify

import (
	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
)

// changed has the other names searched of the file at path, if there are any.
func (w *watch) changed(path string, op sdk.Op) {
	var st unix.Stat_t
	if err := unix.Lstat(relpath.Join(w.root, path), &st); err == nil && st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		w.links.Changed(st.Ino, op)
	}
}
