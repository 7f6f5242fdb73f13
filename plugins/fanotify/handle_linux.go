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
			if w.barriers.arrived(entries[i].name) {
				w.examineStrays()
				w.barriers.meet(w.links)
			}
		}
		if !w.probed && e.has(unix.FAN_OPEN) {
			w.probed = len(entries) > 0 && w.atRoot(entries[0])
		}
		if !w.own {
			return
		}
	}
	inside, from := false, ""
	for i := range entries { // of a rename the former name comes first
		n := &entries[i]
		places := w.places(n.dir)
		for _, p := range places {
			inside = true
			from = w.report(p, e, n, from)
		}
		if len(places) == 0 && !e.isDir() && e.has(writes) {
			w.strayed(e, n)
		}
	}
	if e.isDir() && e.has(unix.FAN_DELETE|unix.FAN_RENAME) && inside {
		w.examineStrays()
	}
	if e.isDir() && e.has(unix.FAN_RENAME) {
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

// report reports what e says about its entry n, in the directory at p. Of a rename, it returns the former name
// when that is what it has reported, and takes it when it comes to the latter.
func (w *watch) report(p place, e *event, n *entry, from string) string {
	c := sdk.Change{Path: p.path, Ops: e.ops(*n)}
	switch {
	case c.Ops == 0:
		return from
	case p.above:
		c.Scope = sdk.ScopeSubtree
		w.reporter.Change(c)
		if !e.isDir() && e.has(writes) {
			w.examineStray(e.target, stray{n.dir, n.name, c.Ops})
		}
		return from
	case string(n.name) != ".":
		c.Path = relpath.Join(p.path, string(n.name))
	}
	there := true
	if !e.isDir() && (e.has(writes) || c.Ops&sdk.OpRename != 0 && c.Ops&sdk.OpCreate != 0) && w.enter(w.views[0]) {
		there = w.examine(w.views[0].fd, c.Path, e.target, c.Ops, e.has(writes))
	}
	// A file that is no longer there has nothing to report unless this is what tells of it: a log that is
	// removed while it is open may be written to for ever.
	if !there && !e.has(names) {
		return from
	}
	if w.exclude.Match(c.Path, e.isDir()) {
		if e.has(names) {
			w.reporter.Change(sdk.Change{Path: p.path, Ops: sdk.OpAttrib}) // the directory's modification time
		}
		return from
	}
	if e.isDir() && c.Ops&sdk.OpCreate != 0 {
		c.Scope = sdk.ScopeSubtree
		c.Ops |= sdk.OpClose // nothing more to wait for
	}
	switch n.kind {
	case unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
		from = c.Path
	case unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
		c.From = from
	}
	w.reporter.Change(c)
	return from
}
