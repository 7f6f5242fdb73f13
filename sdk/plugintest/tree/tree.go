// Package tree holds what tests of watchers and transports need of directory trees: reading and
// comparing them in every detail, and changing them at random, with hostile names.
package tree

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Tree is what was found below a root: entries by their path, which is relative to the root and
// separated by "/". The root itself is "".
type Tree map[string]Entry

// Entry is one file, directory, symlink, device, fifo or socket.
type Entry struct {
	Mode     uint32 // type and permission bits as in stat(2), with setuid, setgid and sticky
	UID, GID uint32
	Mtime    int64  // nanoseconds since the epoch
	Size     int64  // of a regular file; 0 for others
	Rdev     uint64 // of a device; 0 for others
	Target   string // of a symlink
	Sum      [sha256.Size]byte

	dev, ino uint64
}

// Read reads the tree at root, contents included. It never follows a symlink, root excepted, and
// paths may be longer than PATH_MAX. What vanishes or changes its type meanwhile is left out.
func Read(root string) (Tree, error) {
	return read(root, scan{content: true})
}

// scan is one pass over a tree.
type scan struct {
	ignore  func(path string) bool // nil: nothing
	content bool                   // fill in Sum
	tree    Tree
}

func read(root string, s scan) (Tree, error) {
	s.tree = Tree{}
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("read tree %q: %w", root, err)
	}
	if err := s.dir(os.NewFile(uintptr(fd), root), ""); err != nil {
		return nil, fmt.Errorf("read tree %q: %w", root, err)
	}
	return s.tree, nil
}

// dir reads the open directory at path at, and closes it.
func (s *scan) dir(dir *os.File, at string) error {
	defer dir.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return fmt.Errorf("stat %q: %w", at, err)
	}
	if s.ignore == nil || !s.ignore(at) {
		s.tree[at] = newEntry(&st)
	} else if at != "" {
		return nil
	}
	names, err := dir.Readdirnames(-1)
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %q: %w", at, err)
	}
	for _, name := range names {
		if err := s.entry(int(dir.Fd()), name, path.Join(at, name)); err != nil && !gone(err) {
			return fmt.Errorf("%q: %w", path.Join(at, name), err)
		}
	}
	return nil
}

// entry reads name in the directory fd, whose path in the tree is at.
func (s *scan) entry(fd int, name, at string) error {
	if s.ignore != nil && s.ignore(at) {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	e := newEntry(&st)
	switch e.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return s.dir(os.NewFile(uintptr(sub), name), at)
	case unix.S_IFLNK:
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, name, buf)
		if err != nil {
			return err
		}
		e.Target = string(buf[:n])
	case unix.S_IFREG:
		if s.content {
			var err error
			if e, err = readFile(fd, name); err != nil {
				return err
			}
		}
	}
	s.tree[at] = e
	return nil
}

// errChanged says that something else has taken the place of what was to be read.
var errChanged = errors.New("changed while read")

func readFile(fd int, name string) (Entry, error) {
	// Non-blocking: it may have become a fifo.
	n, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return Entry{}, err
	}
	f := os.NewFile(uintptr(n), name)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(n, &st); err != nil {
		return Entry{}, err
	}
	e := newEntry(&st)
	if e.Mode&unix.S_IFMT != unix.S_IFREG {
		return Entry{}, errChanged
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return Entry{}, err
	}
	h.Sum(e.Sum[:0])
	return e, nil
}

// gone reports whether err means that an entry vanished or became something else.
func gone(err error) bool {
	for _, e := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EINVAL, unix.ENXIO, unix.ESTALE, errChanged} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// newEntry converts st; the widths of its fields depend on the system.
func newEntry(st *unix.Stat_t) Entry {
	e := Entry{
		Mode:  uint32(st.Mode),
		UID:   st.Uid,
		GID:   st.Gid,
		Mtime: st.Mtim.Nano(),
		dev:   uint64(st.Dev),
		ino:   st.Ino,
	}
	switch e.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Size = st.Size
	case unix.S_IFBLK, unix.S_IFCHR:
		e.Rdev = uint64(st.Rdev)
	}
	return e
}
