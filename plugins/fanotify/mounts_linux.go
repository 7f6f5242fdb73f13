package fanotify

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/dirent"
	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/mountinfo"
)

// mount is one line of the mount table.
type mount struct {
	mountinfo.Mount
	at string // what it is mounted at, relative to the root; "" for the mount that the root is in
}

// mountsChanged wakes who runs the watch.
func (w *watch) mountsChanged() {
	select {
	case w.mounted <- struct{}{}:
	default:
	}
}

// mountsBelow returns the mounts in the table that lie below root, which is absolute, and the one with
// the number own.
func mountsBelow(table []mountinfo.Mount, root string, own uint64) (ownMount mount, mounts []mount) {
	for _, line := range table {
		m := mount{Mount: line}
		if m.ID == own {
			ownMount = m
			continue
		}
		var ok bool
		if m.at, ok = relpath.Below(m.Point, root); ok && m.at != "" {
			mounts = append(mounts, m)
		}
	}
	return ownMount, mounts
}

// remount looks at all mounts in the tree: those that have come get marks, and what they and those
// that have gone show or hide is reported. It fails when the root is lost.
func (w *watch) remount() error {
	w.remountDue = false
	w.leave()
	for _, v := range w.views {
		v.gone = false
	}
	root := w.views[0]
	if !w.enter(root) {
		return w.err
	}
	if !w.group.watches(root.fd) {
		return lost(w.root, "its file system was unmounted")
	}
	table, err := mountinfo.Read()
	if err != nil {
		return fmt.Errorf("fanotify needs /proc: %w", err)
	}
	rootID, _ := mountID(root.fd)
	own, mounts := mountsBelow(table, root.path, rootID)
	root.mount = own

	views := []*view{root}
	reasons := make(map[mount]string) // why there is no view
	if mountinfo.Remote(own.FSType) {
		reasons[own] = mountinfo.Foreign(own.FSType)
	}
	changed := make(map[string]struct{})
	for _, m := range mounts {
		if w.exclude.Excluded(m.at, true) {
			continue
		}
		v, kept, reason := w.see(m)
		switch {
		case reason != "":
			reasons[m] = reason
			kept = w.reasons[m] != ""
		case v == nil: // hidden by another mount
			continue
		default:
			views = append(views, v)
		}
		if !kept {
			changed[m.at] = struct{}{}
		}
	}
	for _, v := range w.views {
		if !slices.ContainsFunc(views, func(u *view) bool { return u.mount == v.mount }) {
			changed[v.at] = struct{}{}
		}
	}
	for m := range w.reasons {
		if reasons[m] == "" {
			changed[m.at] = struct{}{}
		}
	}
	w.views, w.reasons = views, reasons
	if len(changed) > 0 {
		w.cache.clear()
		for _, p := range relpath.Topmost(slices.Collect(maps.Keys(changed))) {
			w.reporter.Change(sdk.Change{Path: p, Scope: sdk.ScopeSubtree})
		}
	}
	w.noticeDue = true
	return nil
}

// see returns the view of m, or why there is none; neither when m is hidden. kept says that it was there
// and nothing was missed.
func (w *watch) see(m mount) (v *view, kept bool, reason string) {
	if mountinfo.Remote(m.FSType) {
		return nil, false, mountinfo.Foreign(m.FSType) // touching it may take for ever
	}
	// Without O_DIRECTORY nothing is mounted automatically by this.
	fd, err := dirent.Open(w.views[0].fd, m.at, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	if err != nil {
		return nil, false, ""
	}
	defer unix.Close(fd)
	id, dir := mountID(fd)
	switch {
	case id != m.ID:
		return nil, false, ""
	case !dir:
		return nil, false, fileMount
	}
	for _, u := range w.views {
		if u.mount == m {
			v, kept = u, w.group.watches(fd)
		}
	}
	if err := w.group.add(fd); err != nil {
		return nil, false, refusal(m.FSType, err)
	}
	if v == nil {
		v = &view{mount: m, fd: -1}
	}
	if v.fsid, err = fsidOf(fd); err != nil {
		return nil, false, fmt.Sprintf("%q: %v", m.at, err)
	}
	return v, kept, ""
}

// fsidOf returns what the kernel calls a file system in events.
func fsidOf(fd int) (id [fsidSize]byte, err error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return id, err
	}
	binary.NativeEndian.PutUint32(id[:], uint32(st.Fsid.Val[0]))
	binary.NativeEndian.PutUint32(id[4:], uint32(st.Fsid.Val[1]))
	return id, nil
}

// sendUnwatched reports what is not watched if that has changed.
func (w *watch) sendUnwatched() {
	if !w.noticeDue {
		return
	}
	w.noticeDue = false
	var paths, reasons []string
	for m, reason := range w.reasons {
		path := m.at
		if reason == fileMount {
			path = relpath.Parent(path) // what looks after it needs a directory
		}
		paths = append(paths, path)
		if reason = fmt.Sprintf("%q: %s", m.at, reason); !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	paths = relpath.Fewer(relpath.Topmost(paths), relpath.MaxUnwatched)
	if slices.Equal(paths, w.unwatched) {
		return
	}
	w.unwatched = paths
	slices.Sort(reasons)
	w.reporter.Unwatched(paths, strings.Join(reasons[:min(len(reasons), maxReasons)], "; "))
}

const (
	fileMount = "a file that is mounted in the tree is only seen in its own directory"
	// maxReasons keeps the notice readable.
	maxReasons = 10
)
