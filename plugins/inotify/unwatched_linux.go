package inotify

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/dirent"
	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/mountinfo"
)

// cause is why a directory, or what is in it, is not watched.
type cause struct {
	err  error
	dirs int // that are concerned, when it is a limit
}

// limited reports whether err says that there are no more watches to be had.
func limited(err error) bool { return err == unix.ENOSPC || err == unix.ENOMEM }

// addBlind records that parent/name cannot be watched. fd is open on it unless that was not possible.
func (w *watch) addBlind(parent *node, name string, err error, fd int) {
	n := w.tree.child(parent, name)
	if n != nil && n.wd == noWatch && w.blind[n].err == err {
		return
	}
	w.release(n)
	n = w.tree.new(noWatch)
	w.tree.attach(n, parent, name)
	dirs := 0
	if limited(err) {
		dirs = w.count(fd)
	}
	w.setBlind(n, err, dirs)
}

// setBlind records that n, or what is in it, is not watched.
func (w *watch) setBlind(n *node, err error, dirs int) {
	w.blind[n] = cause{err, dirs}
	w.blindStale = true
}

// clearBlind records that n and what is in it is watched.
func (w *watch) clearBlind(n *node) {
	if _, ok := w.blind[n]; ok {
		delete(w.blind, n)
		w.blindStale = true
	}
}

// count returns how many directories there are from the one on that fd is open on, as far as it can
// tell without keeping too many open.
func (w *watch) count(fd int) int {
	names, _, _ := w.read(fd, false)
	total := 1
	for _, name := range names {
		if w.held >= maxHeld || w.ctx.Err() != nil {
			return total + len(names)
		}
		sub, err := dirent.Open(fd, name, dirent.Flags)
		if err != nil {
			continue
		}
		w.held++
		total += w.count(sub)
		w.held--
		unix.Close(sub)
	}
	return total
}

// retryBlind tries to watch what could not be watched so far.
func (w *watch) retryBlind() {
	full := false
	for n, c := range w.blind {
		if !w.tree.attached(n) || full && limited(c.err) {
			continue
		}
		if n.wd != noWatch { // it is watched but could not be read
			if fd, err := w.open(n); err == nil {
				w.list(fd, n, kept, false, true)
			}
			continue
		}
		fd, err := w.open(n.parent)
		if err != nil {
			w.doubt[n.parent] = struct{}{}
			continue
		}
		path, _ := w.tree.path(n)
		how := w.look(fd, n.parent, n.name, false)
		unix.Close(fd)
		if how == unwatched {
			full = full || limited(c.err)
		} else {
			w.report(path, sdk.ScopeSubtree, 0)
		}
	}
}

// sendUnwatched reports what is not watched if that has changed.
func (w *watch) sendUnwatched() {
	if !w.blindStale {
		return
	}
	w.blindStale = false
	var (
		paths   []string
		reasons []string
		dirs    int
		once    = make(map[string]bool)
	)
	reason := func(key, format string, args ...any) {
		if !once[key] {
			once[key] = true
			reasons = append(reasons, fmt.Sprintf(format, args...))
		}
	}
	for n, c := range w.blind {
		path, ok := w.tree.path(n)
		if !ok {
			continue
		}
		paths = append(paths, path)
		switch {
		case limited(c.err):
			dirs += c.dirs
		case c.err == unix.EACCES || c.err == unix.EPERM:
			reason("access", "the user that filewatch runs as must be allowed to read and enter directories such as %q: %v", path, c.err)
		default:
			reason(c.err.Error(), "%q cannot be read: %v", path, c.err)
		}
	}
	if dirs > 0 {
		reasons = append(reasons, limitReason(dirs))
	}
	if mountinfo.Remote(w.ownMount.FSType) {
		paths = append(paths, "")
		reason(w.ownMount.FSType, "%s", mountinfo.Foreign(w.ownMount.FSType))
	}
	for path, m := range w.mounts {
		if mountinfo.Remote(m.FSType) && w.tree.find(path) != nil {
			paths = append(paths, path)
			reason(m.FSType, "%s", mountinfo.Foreign(m.FSType))
		}
	}
	paths = relpath.Fewer(relpath.Topmost(paths), relpath.MaxUnwatched)
	if !slices.Equal(paths, w.blindSent) {
		w.blindSent = paths
		slices.Sort(reasons)
		w.reporter.Unwatched(paths, strings.Join(reasons, "; "))
	}
}

// limitReason says that there are no more watches for dirs directories, and what to do.
func limitReason(dirs int) string {
	name, value := smallerLimit("max_user_watches", "max_inotify_watches")
	missing := fmt.Sprintf("%d more directories need one", dirs)
	if dirs == 0 {
		missing = "the root needs one"
	}
	return fmt.Sprintf("all inotify watches that this user may have are in use (%s = %d) and %s; run %s",
		name, value, missing, raise(name, roomy(value+int64(dirs))))
}

// roomy returns the power of two that leaves a quarter or more free: other programs use watches too.
func roomy(n int64) int64 { return 1 << bits.Len64(uint64(n+n/4)) }

// sleep waits until it is time to try again. It reports false when the watch has to end.
func (w *watch) sleep() bool {
	select {
	case <-w.ctx.Done():
		return false
	case <-time.After(w.retry):
		return true
	}
}
