package fanotify

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/dirent"
	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
)

// examine looks at the file that was at path, relative to the directory dir, when it was changed, in its
// content or attributes if written is set, and has its other names searched. It does not matter what is at
// path by now: an event says which file it is about. It reports whether something is there.
func (w *watch) examine(dir int, path string, target []byte, op sdk.Op, written bool) (there bool) {
	fd := w.openTarget(target)
	if fd >= 0 {
		defer unix.Close(fd) // until then no other file gets its inode number
	}
	var st, at unix.Stat_t
	err := unix.Fstatat(dir, path, &at, unix.AT_SYMLINK_NOFOLLOW)
	there = err != unix.ENOENT && err != unix.ENOTDIR
	only := func() bool { return err == nil && at.Dev == st.Dev && at.Ino == st.Ino && at.Nlink == 1 }
	if fd < 0 || unix.Fstat(fd, &st) != nil || st.Nlink == 0 { // it has no name at all
		return there
	}
	if other := w.outside(fd); other != "" && !only() {
		dir, path = unix.AT_FDCWD, other
		err = unix.Fstatat(dir, path, &at, unix.AT_SYMLINK_NOFOLLOW)
	}
	switch {
	case only():
		// Or this name was just being removed: then it is gone after that.
		dirent.Settle(dir, relpath.Parent(path))
		if err = unix.Fstatat(dir, path, &at, unix.AT_SYMLINK_NOFOLLOW); only() {
			w.links.Known(st.Ino)
		} else if written {
			w.links.Changed(st.Ino, op)
		}
	case written:
		w.links.Changed(st.Ino, op)
	}
	return there
}

// outside returns the path of an open file if that is outside the tree, and cannot be in it as well by another
// mount; else "". Programs that write a file and rename it are everywhere in a file system.
func (w *watch) outside(fd int) string {
	if len(w.views) > 1 {
		return ""
	}
	path, err := readlink(fd)
	if err != nil {
		return ""
	}
	if _, in := relpath.Below(path, w.views[0].path); in || relpath.Parent(path) == "" {
		return ""
	}
	return path
}

// openTarget opens the file that the kernel calls key, in a way that only allows to look at it. It returns
// -1 when the file is gone.
func (w *watch) openTarget(key []byte) int {
	if key == nil {
		return -1
	}
	fsid, handle := splitKey(key)
	for _, v := range w.views {
		if v.fsid != fsid || !w.enter(v) {
			continue
		}
		fd, err := openHandle(v.fd, handle, unix.O_PATH)
		if err == nil {
			return fd
		}
		w.refused(err)
	}
	return -1
}

// stray is a file that was changed by a name in a directory that is not in the tree, by what is known.
type stray struct {
	dir, name []byte
	op        sdk.Op
}

// strays are remembered until it is sure that no event is still to come that tells how their directories
// left the tree: then the change may have been one in the tree, and of the files' other names in it. To
// look at each file that changes elsewhere would cost too much.
type strays struct {
	fresh, old map[string]stray // by event.target
	until      uint64           // position of the last event that may tell about an old one
	turned     time.Time        // when fresh ones became old
}

const (
	// maxStrays bounds what is remembered. Past it all are looked at.
	maxStrays = 1 << 14
	// strayAge is how long strays are remembered at least: the kernel tells of a change some moments after
	// it can be seen.
	strayAge = 100 * time.Millisecond
)

// strayed remembers the change e by the name n.
func (w *watch) strayed(e *event, n *entry) {
	if e.target == nil {
		return
	}
	if len(w.strays.fresh) >= maxStrays {
		w.examineStrays()
	}
	if w.strays.fresh == nil {
		w.strays.fresh = make(map[string]stray)
	}
	s := stray{append([]byte(nil), n.dir...), append([]byte(nil), n.name...), e.ops(*n)}
	s.op |= w.strays.fresh[string(e.target)].op
	w.strays.fresh[string(e.target)] = s
}

// forgetStrays forgets the strays that nothing more will be told about.
func (w *watch) forgetStrays() {
	s := &w.strays
	if len(s.fresh)+len(s.old) == 0 || w.handled < s.until || time.Since(s.turned) < strayAge {
		return
	}
	s.old, s.fresh = s.fresh, nil
	s.until, s.turned = w.queue.Pull(), time.Now()
}

// examineStrays looks at all strays.
func (w *watch) examineStrays() {
	for target, s := range w.strays.old {
		w.examineStray([]byte(target), s)
	}
	for target, s := range w.strays.fresh {
		w.examineStray([]byte(target), s)
	}
	w.strays.old, w.strays.fresh = nil, nil
}

func (w *watch) examineStray(target []byte, s stray) {
	fsid, handle := splitKey(s.dir)
	for _, v := range w.views {
		if v.fsid != fsid || !w.enter(v) {
			continue
		}
		dir, err := openHandle(v.fd, handle, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			w.refused(err)
			dir = -1 // it is gone, and so is the name
		}
		w.examine(dir, string(s.name), target, s.op, true)
		if dir >= 0 {
			unix.Close(dir)
		}
		return
	}
}
