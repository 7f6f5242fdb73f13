package fanotify

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/dirent"
	"github.com/filewatch/filewatch/sdk"
)

var (
	errElsewhere = errors.New("it is not in the tree")
	errMoved     = errors.New("the tree was moved")
)

// view is a mount through which a part of the tree is seen. The first one is that of the root.
type view struct {
	mount
	fsid [fsidSize]byte

	fd   int    // open on the mount point while events are acted on, or -1: it makes the mount busy
	path string // absolute, as long as fd is open
	gone bool   // it could not be entered; until the mounts are read again
}

// identity tells directories apart, also those that get the inode number of a removed one.
type identity struct {
	dev, ino uint64
	handle   string
}

func identify(fd int) (identity, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return identity{}, err
	}
	handle, _, err := unix.NameToHandleAt(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return identity{}, err
	}
	return identity{st.Dev, st.Ino, string(handle.Bytes())}, nil
}

// mountID returns the number in the mount table of the mount that fd is open in, and whether fd is open
// on a directory.
func mountID(fd int) (id uint64, dir bool) {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE|unix.STATX_MNT_ID, &st); err != nil {
		return 0, false
	}
	return st.Mnt_id, st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// enter opens v until the next leave. It reports false when v is not where it was.
func (w *watch) enter(v *view) bool {
	root := w.views[0]
	switch {
	case v.fd >= 0:
		return true
	case v.gone || v != root && !w.enter(root):
		return false
	}
	var err error
	if v == root {
		err = w.enterRoot()
	} else {
		err = w.enterMount(v)
	}
	if err == nil {
		v.path, err = readlink(v.fd)
	}
	if err == nil {
		return true
	}
	if v.fd >= 0 {
		unix.Close(v.fd)
		v.fd = -1
	}
	v.gone = true
	if v == root {
		w.fail(err)
	}
	w.remountDue = true
	return false
}

// enterRoot opens the root, which must be the directory that is watched.
func (w *watch) enterRoot() error {
	fd, err := openRoot(w.root)
	if err != nil {
		return err
	}
	w.views[0].fd = fd
	if id, err := identify(fd); err != nil || id != w.identity {
		return lost(w.root, "the directory was replaced by another one")
	}
	return nil
}

func (w *watch) enterMount(v *view) (err error) {
	if v.fd, err = dirent.Open(w.views[0].fd, v.at, dirent.Flags); err != nil {
		v.fd = -1
		return err
	}
	if id, _ := mountID(v.fd); id != v.ID {
		return errMoved
	}
	return nil
}

// moved reports whether v, which is entered, has another path by now.
func (v *view) moved() bool {
	path, err := readlink(v.fd)
	return err != nil || path != v.path
}

// leave closes all views.
func (w *watch) leave() {
	for _, v := range w.views {
		if v.fd >= 0 {
			unix.Close(v.fd)
			v.fd = -1
		}
	}
}

// openRoot opens the directory at root, to which a symlink may lead.
func openRoot(root string) (int, error) {
	fd, err := dirent.Open(unix.AT_FDCWD, root, dirent.Flags&^unix.O_NOFOLLOW)
	switch err {
	case nil:
		return fd, nil
	case unix.ENOENT:
		return -1, lost(root, "it does not exist")
	case unix.ENOTDIR, unix.ELOOP:
		return -1, lost(root, "it is not a directory")
	case unix.EACCES, unix.EPERM:
		return -1, sdk.Misconfigured(fmt.Errorf("open %s: %w; the user that filewatch runs as must be allowed to read and enter it", root, err))
	}
	return -1, fmt.Errorf("open %s: %w", root, err)
}

func lost(root, why string) error {
	return sdk.RootLost(fmt.Errorf("%s: %s", root, why))
}
