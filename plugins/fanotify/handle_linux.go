package fanotify

import (
	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
)

// handle acts on one event.
func (w *watch) handle(e *event) {
	if e.has(unix.FAN_Q_OVERFLOW) {
		w.lost = true
		return
	}
	if e.has(unix.FAN_DELETE_SELF | unix.FAN_MOVE_SELF) {
		w.suspect = true // only the root is watched for these
	}
	entries := e.entries[:e.count]
	if e.pid == w.pid {
		for i := range entries {
			w.barriers.arrived(entries[i].name, w.links)
		}
		if !w.probed && e.has(unix.FAN_OPEN) {
			w.probed = len(entries) > 0 && w.atRoot(entries[0])
		}
		if !w.own {
			return
		}
	}
	inside := false
	for i := range entries {
		n := &entries[i]
		for _, p := range w.places(n.dir) {
			inside = true
			w.report(p, e, n)
		}
	}
	if e.isDir() && e.has(renames) {
		if inside {
			w.cache.clear()
			if len(w.views) > 1 {
				w.leave() // mounts may have moved along
			}
		} else {
			w.suspect = true // it may be a directory above the root
		}
	}
}

// atRoot reports whether n is the root itself.
func (w *watch) atRoot(n entry) bool {
	for _, p := range w.places(n.dir) {
		if p.path == "" && string(n.name) == "." {
			return true
		}
	}
	return false
}

// report reports what e says about its entry n, in the directory at p.
func (w *watch) report(p place, e *event, n *entry) {
	c := sdk.Change{Path: p.path, Ops: e.ops(*n)}
	switch {
	case c.Ops == 0:
		return
	case p.above:
		c.Scope = sdk.ScopeSubtree
		w.reporter.Change(c)
		return
	case string(n.name) != ".":
		c.Path = relpath.Join(p.path, string(n.name))
	}
	if w.exclude.Match(c.Path, e.isDir()) {
		return
	}
	switch {
	case e.isDir() && c.Ops&sdk.OpCreate != 0:
		c.Scope = sdk.ScopeSubtree
		c.Ops |= sdk.OpClose // nothing more to wait for
	case e.isDir() || !e.has(writes|renames) || c.Ops&sdk.OpRemove != 0 && !e.has(writes):
	case !w.look(c.Path, e, c.Ops):
		return
	}
	w.reporter.Change(c)
}

// look looks at a file that was written to, or that was renamed and perhaps written to before, for other
// names that it may have. It reports false when the file no longer has this name, and another event
// tells of that: a log that is removed while it is open may be written to for ever.
func (w *watch) look(path string, e *event, op sdk.Op) bool {
	if !w.enter(w.views[0]) {
		return true
	}
	var st unix.Stat_t
	switch unix.Fstatat(w.views[0].fd, path, &st, unix.AT_SYMLINK_NOFOLLOW) {
	case nil:
		if st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			w.links.Changed(st.Ino, op)
		}
		return true
	case unix.ENOENT, unix.ENOTDIR:
		return e.has(removals | arrivals | renames)
	}
	return true
}
