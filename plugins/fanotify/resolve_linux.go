package fanotify

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/dirent"
	"github.com/filewatch/filewatch/plugins/internal/relpath"
)

// maxCache bounds what the paths that are remembered may take, in bytes as far as they can be counted:
// some 50,000 directories. Past it all are forgotten.
const maxCache = 8 << 20

// cacheOverhead is about what one remembered directory takes beside its handle and path.
const cacheOverhead = 100

// place is where in the tree a directory is.
type place struct {
	path string
	// above says that path is of a directory above it, its own being longer than the kernel tells.
	above bool
}

// cache remembers where directories are. A directory that is not in the tree has no places.
type cache struct {
	places map[string][]place // by entry.dir
	size   int
}

func (c *cache) put(key string, places []place) {
	size := cacheOverhead + len(key)
	for _, p := range places {
		size += len(p.path)
	}
	if c.size+size > maxCache {
		c.clear()
	}
	c.places[key] = places
	c.size += size
}

func (c *cache) clear() {
	clear(c.places)
	c.size = 0
}

// places returns where the directory is that the kernel calls key.
func (w *watch) places(key []byte) []place {
	if places, ok := w.cache.places[string(key)]; ok {
		return places
	}
	places, sure := w.locate(key)
	if sure {
		w.cache.put(string(key), places)
	}
	return places
}

// locate asks the kernel where a directory is: more than one place when it is mounted more than once. It
// reports false when the answer does not hold until the next rename.
func (w *watch) locate(key []byte) (places []place, sure bool) {
	fsid, handle := splitKey(key)
	sure = true
	for _, v := range w.views {
		if v.fsid != fsid {
			continue
		}
		if !w.enter(v) {
			sure = false
			continue
		}
		p, err := w.lookup(v, handle)
		switch err {
		case nil:
			if !w.exclude.Excluded(p.path, true) {
				places = append(places, p)
			}
		case unix.ESTALE, errElsewhere:
			// It was removed, which an event in the directory above tells, or is not in the tree.
		default:
			sure = false
			w.refused(err)
		}
	}
	return places, sure
}

// refused takes note that something could not be opened that may exist.
func (w *watch) refused(err error) {
	switch err {
	case unix.EPERM:
		w.fail(privilegeError("watch " + w.root + " with fanotify"))
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM:
		w.lost = true
	}
}

// lookup returns where in the tree, seen through v, the directory with the handle is.
func (w *watch) lookup(v *view, handle unix.FileHandle) (place, error) {
	fd, err := openHandle(v.fd, handle, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return place{}, err
	}
	defer func() { unix.Close(fd) }()
	var p place
	path, err := readlink(fd)
	for err == unix.ENAMETOOLONG {
		up, openErr := dirent.Open(fd, "..", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
		if openErr != nil {
			return place{}, openErr
		}
		unix.Close(fd)
		fd, p.above = up, true
		path, err = readlink(fd)
	}
	if err != nil {
		return place{}, err
	}
	rel, inTree := relpath.Below(path, w.views[0].path)
	if _, inView := relpath.Below(path, v.path); !inTree || !inView {
		return place{}, w.missed(v)
	}
	// The path of what lies outside the mount is cut short and looks like another one, and what is
	// there may be hidden by a mount or, by now, be called otherwise.
	if !same(fd, w.views[0].fd, rel) {
		return place{}, errElsewhere
	}
	p.path = rel
	return p, nil
}

// openHandle opens what has the handle, in the mount that mount is open in.
func openHandle(mount int, handle unix.FileHandle, flags int) (fd int, err error) {
	return persist(func() (int, error) {
		return unix.OpenByHandleAt(mount, handle, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	})
}

// persist calls open again for half a second as long as it says ENOMEM, which the kernel also says of what is
// just being removed: for microseconds, but for 12 ms when the one who removes it had to wait for a processor.
// Pauses that grow leave it one.
func persist(open func() (int, error)) (fd int, err error) {
	for tries := range 1000 {
		if fd, err = open(); err != unix.ENOMEM && err != unix.EINTR {
			break
		}
		time.Sleep(time.Duration(tries) * time.Microsecond)
	}
	return fd, err
}

// missed returns why a directory was not found in v: the root or v was moved since it was entered, and
// with it the paths of all that is in it, or the directory is elsewhere.
func (w *watch) missed(v *view) error {
	root := w.views[0]
	switch {
	case !root.moved() && !v.moved():
		return errElsewhere
	case root.moved():
		w.lost = true
	}
	w.leave()
	w.remountDue = true // which reports v as a whole
	return errMoved
}

// same reports whether fd is open on what is at path below dir.
func same(fd, dir int, path string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Fstatat(dir, path, &b, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) == nil &&
		a.Dev == b.Dev && a.Ino == b.Ino
}

// readlink returns the path that what fd is open on has now.
func readlink(fd int) (string, error) {
	var buf [unix.PathMax + 1]byte
	n, err := unix.Readlink(link(fd), buf[:])
	if err != nil {
		return "", err
	}
	if n == len(buf) {
		return "", unix.ENAMETOOLONG
	}
	return string(buf[:n]), nil
}
