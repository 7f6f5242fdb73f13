package inotify

import (
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/mountinfo"
)

// mountsChanged wakes who runs the watch.
func (w *watch) mountsChanged() {
	select {
	case w.mounted <- struct{}{}:
	default:
	}
}

// readMounts learns what is mounted below the root now.
func (w *watch) readMounts() {
	root, err := filepath.EvalSymlinks(w.root)
	if err != nil {
		return // the root is lost, which is noticed elsewhere
	}
	table, err := mountinfo.Read()
	if err != nil {
		return
	}
	own, below := mountsBelow(table, root)
	w.blindStale = w.blindStale || own != w.ownMount || !maps.Equal(below, w.mounts)
	w.ownMount, w.mounts = own, below
}

// mountsBelow returns what root is on, and what is mounted below it by relative path.
func mountsBelow(table []mountinfo.Mount, root string) (own mountinfo.Mount, below map[string]mountinfo.Mount) {
	below = make(map[string]mountinfo.Mount)
	ownLen := 0
	for _, m := range table {
		if rel, ok := relpath.Below(m.Point, root); ok && rel != "" {
			below[rel] = m
		} else if _, above := relpath.Below(root, m.Point); above && len(m.Point) >= ownLen {
			own, ownLen = m, len(m.Point) // of several at one path, the last one counts
		}
	}
	return own, below
}

// isMount reports whether something is mounted at parent/name, which fd is open on.
func (w *watch) isMount(fd int, parent *node, name string) bool {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, 0, &st)
	if err == nil && st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	}
	// Before Linux 5.8 only the table tells, which may be of another moment.
	if len(w.mounts) == 0 {
		return false
	}
	path, _ := w.tree.path(parent)
	_, ok := w.mounts[relpath.Join(path, name)]
	return ok
}

// remount looks at every place where something is or was mounted. Mounts may have come and gone since
// the table was read last, and been seen by a walk, so it is not only the differences that count.
func (w *watch) remount() error {
	before := w.mounts
	w.readMounts()
	places := make(map[string]struct{})
	for p := range before {
		places[p] = struct{}{}
	}
	for p := range w.mounts {
		places[p] = struct{}{}
	}
	for n := range w.tree.mounts {
		if p, ok := w.tree.path(n); ok {
			places[p] = struct{}{}
		}
	}
	// Sorted, so that a mount comes before those in it.
	for _, p := range slices.Sorted(maps.Keys(places)) {
		changed := before[p] != w.mounts[p]
		dir, name := path.Split(p)
		parent := w.tree.find(strings.TrimSuffix(dir, "/"))
		if parent == nil || w.exclude.Match(p, true) {
			continue
		}
		fd, err := w.open(parent)
		if err != nil {
			w.doubt[parent] = struct{}{}
			continue
		}
		how := w.look(fd, parent, name, changed)
		unix.Close(fd)
		if changed || how > kept {
			w.report(p, sdk.ScopeSubtree, 0)
		}
	}
	return w.checkRoot()
}
