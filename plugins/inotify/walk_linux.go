package inotify

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/dirent"
	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
)

// maxHeld is how many directories a walk keeps open. A tree that is deeper costs more time, for the
// way from the root is gone again on the way back, but no more descriptors.
const maxHeld = 128

var errElsewhere = errors.New("another directory is there")

// vanished reports whether err says that there is no directory (any more).
func vanished(err error) bool {
	return err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP
}

// start watches the root and all below it. It reports true when it had to wait for that, with Ready
// called already.
func (w *watch) start() (waited bool, err error) {
	var wd int32
	for {
		fd, err := dirent.Open(unix.AT_FDCWD, w.root, dirent.Flags&^unix.O_NOFOLLOW)
		if err != nil {
			return false, w.rootError(err)
		}
		wd, err = w.kernel.add(fd, dirEvents|rootEvents)
		unix.Close(fd)
		if err == nil {
			break
		}
		if !limited(err) {
			return false, w.rootError(err)
		}
		if !waited {
			waited = true
			w.reporter.Ready()
			w.blindSent = []string{""}
			w.reporter.Unwatched(w.blindSent, limitReason(0))
		}
		if !w.sleep() {
			return true, nil
		}
	}
	w.tree = newTree(wd)
	return waited, w.rewalk()
}

// rootError explains why the root cannot be opened.
func (w *watch) rootError(err error) error {
	switch {
	case err == unix.ENOENT:
		return w.rootLost("the directory does not exist")
	case err == unix.ENOTDIR:
		return w.rootLost("it is not a directory")
	case err == unix.EACCES || err == unix.EPERM:
		return sdk.Misconfigured(fmt.Errorf("%s: %w; let the user that filewatch runs as read and enter the directory and enter those above it", w.root, err))
	}
	return fmt.Errorf("watch %s: %w", w.root, err)
}

// openRoot opens the root, which must be the directory that is watched.
func (w *watch) openRoot() (int, error) {
	fd, err := dirent.Open(unix.AT_FDCWD, w.root, dirent.Flags&^unix.O_NOFOLLOW)
	if err != nil {
		return -1, w.rootError(err)
	}
	if err := w.verify(fd, w.tree.root); err != nil {
		unix.Close(fd)
		return -1, w.rootLost("the directory was replaced by another one")
	}
	return fd, nil
}

// open opens n at the path it is known at. It fails when another directory, or none, is there.
func (w *watch) open(n *node) (int, error) {
	names, ok := w.tree.names(n)
	if !ok {
		return -1, errElsewhere
	}
	fd, err := dirent.Open(unix.AT_FDCWD, w.root, dirent.Flags&^unix.O_NOFOLLOW)
	for i, name := range names {
		if err != nil {
			return -1, err
		}
		flags := dirent.Flags
		if i < len(names)-1 {
			flags |= unix.O_PATH
		}
		dir := fd
		fd, err = dirent.Open(dir, name, flags)
		unix.Close(dir)
	}
	if err != nil {
		return -1, err
	}
	if err := w.verify(fd, n); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// verify checks that fd is open on n.
func (w *watch) verify(fd int, n *node) error {
	wd, err := w.kernel.add(fd, dirEvents)
	if err != nil {
		return err
	}
	if wd == n.wd {
		return nil
	}
	if w.tree.watches[wd] == nil {
		w.kernel.remove(wd)
		w.removed[wd] = struct{}{}
	}
	return errElsewhere
}

// rewalk walks the whole tree and brings all that is known about it in step.
func (w *watch) rewalk() error {
	fd, err := w.openRoot()
	if err != nil {
		return err
	}
	w.lost = false
	w.readMounts()
	w.tree.scatter()
	clear(w.doubt)
	clear(w.blind)
	w.blindStale = true
	w.names.reset()
	w.walking = true
	w.list(fd, w.tree.root, kept, true, false)
	w.walking = false
	// What was not found must not wait in limbo: what is below it is no longer known.
	for _, n := range w.tree.nodes() {
		if n.parent == nil && n != w.tree.root {
			w.discard(n)
		}
	}
	return nil
}

// look finds out which directory is at parent/name, with dir open on parent, and watches it and all
// below it. With deep set it reads again what is known already.
func (w *watch) look(dir int, parent *node, name string, deep bool) arrival {
	fd, n, how := w.enter(dir, parent, name)
	if fd >= 0 {
		if w.unread(how, deep) {
			w.list(fd, n, how, deep || how == moved, false)
		} else {
			unix.Close(fd)
		}
	}
	return how
}

// unread reports whether what is in a directory has to be read. A move changes no names below it, but
// it may change what the patterns say about them, at any depth.
func (w *watch) unread(how arrival, deep bool) bool {
	return deep || how == added || how == moved && w.exclude != nil
}

// list reads the directory n, which fd is open on and which has arrived in that way, and looks at every
// directory in it. It closes fd. With report set it reports those that are not where they were.
func (w *watch) list(fd int, n *node, how arrival, deep, report bool) {
	defer func() {
		if fd >= 0 {
			unix.Close(fd)
		}
	}()
	fresh := how == added && !w.walking
	names, files, err := w.read(fd, fresh)
	if fresh {
		w.appeared(n, files)
	}
	if err != nil {
		w.setBlind(n, err, 0)
	} else {
		w.clearBlind(n)
		w.releaseMissing(n, names)
	}
	for _, name := range names {
		if w.ctx.Err() != nil {
			return
		}
		if fd < 0 {
			if fd, err = w.open(n); err != nil {
				fd = -1
				w.doubt[n] = struct{}{}
				return
			}
		}
		sub, child, how := w.enter(fd, n, name)
		if sub >= 0 {
			if w.unread(how, deep) {
				if w.held >= maxHeld {
					unix.Close(fd)
					fd = -1
				}
				w.held++
				w.list(sub, child, how, deep || how == moved, false)
				w.held--
			} else {
				unix.Close(sub)
			}
		}
		if report && how > kept {
			if path, ok := w.tree.path(n); ok {
				w.report(relpath.Join(path, name), sdk.ScopeSubtree, sdk.OpCreate|sdk.OpClose)
			}
		}
	}
}

// enter opens parent/name, with dir open on parent, watches it and records that it is there. Nothing
// can be missed after that: what comes into being in it later causes an event, and all else is seen by
// who reads it now. The returned fd is -1 when there is nothing to read.
func (w *watch) enter(dir int, parent *node, name string) (fd int, n *node, how arrival) {
	if w.exclude != nil {
		path, _ := w.tree.path(parent)
		if w.exclude.Match(relpath.Join(path, name), true) {
			w.release(w.tree.child(parent, name))
			return -1, nil, absent
		}
	}
	fd, err := dirent.Open(dir, name, dirent.Flags)
	if vanished(err) {
		w.release(w.tree.child(parent, name))
		return -1, nil, absent
	}
	if err != nil {
		w.addBlind(parent, name, err, 0)
		return -1, nil, unwatched
	}
	wd, err := w.kernel.add(fd, dirEvents)
	if err != nil {
		w.addBlind(parent, name, err, fd)
		unix.Close(fd)
		return -1, nil, unwatched
	}
	var from string
	if old := w.tree.watches[wd]; w.into != nil && old != nil && old.alias == nil {
		from, _ = w.tree.path(old)
	}
	n, how, displaced, ok := w.tree.settle(parent, name, wd, w.isMount(fd, parent, name))
	if !ok {
		w.lost = true
		unix.Close(fd)
		return -1, nil, absent
	}
	if from != "" && how == moved && parent != w.into {
		path, _ := w.tree.path(n)
		w.brought = append(w.brought, sdk.Change{Path: path, Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate | sdk.OpRename | sdk.OpClose, From: from})
	}
	w.release(displaced)
	w.blindStale = w.blindStale || how == moved && len(w.blind) > 0
	return fd, n, how
}

// releaseMissing releases the directories known in n that are not in names.
func (w *watch) releaseMissing(n *node, names []string) {
	if n.first == nil {
		return
	}
	present := make(map[string]struct{}, len(names))
	for _, name := range names {
		present[name] = struct{}{}
	}
	for c := n.first; c != nil; {
		next := c.next
		if _, ok := present[c.name]; !ok {
			w.release(c)
		}
		c = next
	}
}

// read returns the names of the directories in the one that fd is open on, and with andFiles those of all
// else. It does not look at the entries where the file system tells their type.
func (w *watch) read(fd int, andFiles bool) (dirs, files []string, err error) {
	err = dirent.Read(fd, w.dirents, func(e dirent.Entry) {
		if e.IsDir(fd) {
			dirs = append(dirs, string(e.Name))
		} else if andFiles {
			files = append(files, string(e.Name))
		}
	})
	return dirs, files, err
}
