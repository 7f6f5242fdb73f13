package inotify

import (
	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
)

// handle acts on one event.
func (w *watch) handle(e event) error {
	if e.has(unix.IN_Q_OVERFLOW) {
		w.lost = true
		clear(w.removed) // their last events may be among the lost ones
		return nil
	}
	w.names.before(e)
	ours := w.barriers.handle(e, w.names)
	n := w.tree.watches[e.wd]
	switch {
	case e.has(unix.IN_IGNORED):
		delete(w.removed, e.wd)
		return w.ignored(e.wd)
	case n == nil:
		if _, ok := w.removed[e.wd]; !ok && !ours {
			w.lost = true
		}
		return nil
	case e.wd == w.tree.root.wd && e.has(unix.IN_DELETE_SELF):
		return w.rootLost("the directory was removed")
	case e.wd == w.tree.root.wd && e.has(unix.IN_MOVE_SELF):
		return w.rootLost("the directory was moved away")
	case e.has(unix.IN_UNMOUNT):
		return nil // IN_IGNORED follows
	}
	if n.alias == nil {
		w.handleAt(n, e)
		return nil
	}
	var all []*node // handling changes the chain
	for ; n != nil; n = n.alias {
		all = append(all, n)
	}
	for _, n := range all {
		w.handleAt(n, e)
	}
	return nil
}

// handleAt acts on an event in the directory n.
func (w *watch) handleAt(n *node, e event) {
	dir := e.has(unix.IN_ISDIR)
	if dir && e.has(unix.IN_ATTRIB) && len(w.blind) > 0 {
		w.retrySoon = true
	}
	if !dir && e.name != "" {
		w.names.handle(n, e)
	}
	path, ok := w.tree.path(n)
	if !ok {
		if dir && e.has(unix.IN_CREATE|unix.IN_MOVED_TO) {
			w.names.missed()
		}
		// n is reported as a whole when it is found again, unless it has left the tree.
		if dir && e.has(unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO) {
			w.doubt[n] = struct{}{}
		}
		return
	}
	if e.name == "" {
		w.report(path, sdk.ScopePath, e.ops())
		return
	}
	parent := path
	path = relpath.Join(parent, e.name)
	if w.exclude.Match(path, dir) {
		if dir {
			w.release(w.tree.child(n, e.name))
		}
		if e.has(unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO) {
			w.report(parent, sdk.ScopePath, sdk.OpAttrib) // its modification time
		}
		return
	}
	c := sdk.Change{Path: path, Ops: e.ops()}
	switch {
	case e.has(unix.IN_MOVED_FROM):
		w.away = movedAway{e.cookie, path}
	case e.has(unix.IN_MOVED_TO) && e.cookie == w.away.cookie:
		c.From = w.away.path
	}
	if dir {
		w.handleDir(n, e, &c)
	}
	w.reporter.Change(c)
	for _, c := range w.brought {
		w.report(c.From, sdk.ScopePath, sdk.OpRemove|sdk.OpRename)
		w.reporter.Change(c)
	}
	w.brought = nil
}

// handleDir acts on an event about a directory in n.
func (w *watch) handleDir(n *node, e event, c *sdk.Change) {
	switch {
	case e.has(unix.IN_DELETE):
		w.release(w.tree.child(n, e.name))
		return
	case e.has(unix.IN_MOVED_FROM) && w.tree.child(n, e.name) == nil:
		return
	case !e.has(unix.IN_CREATE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO):
		return
	}
	// Even after IN_MOVED_FROM it may be there: of an exchange, the kernel tells first that each has
	// arrived and then that the other has gone.
	fd, err := w.open(n)
	if err != nil {
		w.doubt[n] = struct{}{}
		w.names.missed()
		return
	}
	defer unix.Close(fd)
	if len(w.mounts) > 0 && e.has(unix.IN_MOVED_TO) {
		w.readMounts() // their paths change along, and nothing tells
	}
	// One that was moved may have been away and back again, with the core looking for something below
	// it meanwhile, so it is reported as a whole even if it is where it was.
	if e.has(unix.IN_CREATE) {
		w.into = n
	}
	how := w.look(fd, n, e.name, false)
	w.into = nil
	if how > kept || how == kept && e.has(unix.IN_MOVED_TO) {
		c.Scope = sdk.ScopeSubtree
	}
	if how == absent && e.has(unix.IN_CREATE|unix.IN_MOVED_TO) {
		w.names.missed()
	}
	if e.has(unix.IN_CREATE | unix.IN_MOVED_TO) {
		c.Ops |= sdk.OpClose // nothing more to wait for
	}
}

// ignored forgets a watch that the kernel has taken away, with its directory or its file system.
func (w *watch) ignored(wd int32) error {
	for n := w.tree.watches[wd]; n != nil; n = w.tree.watches[wd] {
		if n == w.tree.root {
			return w.rootLost("the directory was removed or its file system unmounted")
		}
		w.tree.forget(n)
		if p := n.parent; p != nil {
			// Its removal was not seen before, so something else may have come to light there.
			w.tree.detach(n)
			w.doubt[p] = struct{}{}
		}
		for n.first != nil {
			w.release(n.first)
		}
		w.discard(n)
	}
	return nil
}

// release takes n, which may be nil, away from its place.
func (w *watch) release(n *node) {
	if n == nil {
		return
	}
	w.tree.detach(n)
	w.blindStale = w.blindStale || len(w.blind) > 0
	if n.wd == noWatch {
		w.discard(n)
		return
	}
	w.limbo[n] = struct{}{}
}

// discard forgets the detached n and all below it, and takes the watches away.
func (w *watch) discard(n *node) {
	for n.first != nil {
		c := n.first
		w.tree.detach(c)
		w.discard(c)
	}
	if wd := n.wd; w.tree.forget(n) {
		w.kernel.remove(wd)
		w.removed[wd] = struct{}{}
	}
	w.names.forget(n)
	delete(w.doubt, n)
	delete(w.limbo, n)
	if _, ok := w.blind[n]; ok {
		delete(w.blind, n)
		w.blindStale = true
	}
}
