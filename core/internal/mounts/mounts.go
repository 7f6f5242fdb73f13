// Package mounts keeps watch over what is mounted below a root. A file system that is mounted over a
// directory hides what is in it, and one that is unmounted leaves an empty directory behind: both look as
// if files had been deleted, which they have not.
//
// A Tracker remembers from which mount each part of the tree was synced. A subtree whose mount is another
// one now is held: nobody knows it, and nothing that was synced from it must be deleted because of what
// is seen there. The hold ends when the mount is what it was, or by a person.
//
// Something mounted over an empty directory, or one that nobody may have synced anything from, hides
// nothing and is synced like all else. What was mounted and cannot come back, a tmpfs for one, is held as
// long as its mount point is there; when that is removed too, somebody has removed it all.
package mounts

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// Hold is a subtree of which nothing must be sent or deleted.
type Hold struct {
	Path   string // relative to the root
	Reason string // what was seen and what to do
	Since  time.Time
}

// Tracker knows the mounts below one root. Its methods may be called concurrently.
type Tracker struct {
	root    string
	exclude *filter.Filter
	system  system
	boot    string // of the running system

	mu     sync.Mutex // guards all below
	memory Memory     // as last remembered
	told   []string   // reasons of the holds that the run before had
	began  bool       // synced is known
	stale  bool       // the table may have changed since now was read
	synced map[string]identity
	now    map[string]identity
	holds  []Hold // sorted, none below another
}

// identity tells what is mounted somewhere from what else could be.
type identity struct {
	id     uint64 // of this very mount
	key    string // of the file system, if it is lasting
	what   string // for people
	device bool   // it is lasting: it may be unmounted and come back
	auto   bool   // it only waits for somebody to enter it, to mount what belongs there
}

// same reports whether both show the same files.
func (i identity) same(o identity) bool {
	if i.device && o.device {
		return i.key == o.key
	}
	return i.id == o.id && i.key == o.key
}

// system is how mounts are looked at; tests put something else in its place.
type system struct {
	// below returns what is mounted below root, and whether that could be told.
	below func(root string) (map[string]identity, bool)
	// changed reports whether the system's mounts may have changed since the last call.
	changed func() bool
	// hides reports whether the mount at root/path hides anything.
	hides func(root, path string) bool
	// exists reports whether there is anything at root/path.
	exists func(root, path string) bool
}

// New returns the tracker of the directory root. What memory does not know and is mounted below it when it is
// first there counts as synced, unless memory is of the same running system: it was mounted since then. exclude,
// which may be nil, says what is not synced at all.
func New(root string, exclude *filter.Filter, memory Memory) *Tracker {
	t := &Tracker{root: root, exclude: exclude, system: kernel(), boot: boot(), memory: memory, told: memory.Held}
	t.Held()
	return t
}

// Held returns the subtrees that are held now, sorted, none below another. It looks at the system's mount
// table if that has changed, and is to be asked right before each transfer.
func (t *Tracker) Held() []Hold {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.system.changed() || !t.began {
		t.stale = true // also if it cannot be told below now
	}
	if t.stale {
		t.look()
	} else if len(t.holds) > 0 { // mount points come and go without the table
		t.judge()
	}
	return t.holds
}

// Approve ends the hold of path: what is seen there now is to be synced. It reports whether there was one.
func (t *Tracker) Approve(path string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.ContainsFunc(t.holds, func(h Hold) bool { return h.Path == path }) {
		return false
	}
	maps.DeleteFunc(t.synced, func(p string, _ identity) bool { return inside(p, path) })
	for p, i := range t.now {
		if inside(p, path) {
			t.synced[p] = i
		}
	}
	t.judge()
	return true
}

// ApproveTold is Approve of a hold that the run before had told as it is now.
func (t *Tracker) ApproveTold(h Hold) bool {
	return slices.Contains(t.told, h.Reason) && t.Approve(h.Path)
}

// Run calls changed, which must not block, with the paths that are held, then with those that have become so
// and those that are no longer and have to be compared, until ctx ends.
func (t *Tracker) Run(ctx context.Context, changed func(held, free []string)) {
	var before []string
	look := func() {
		now := paths(t.Held())
		held := slices.DeleteFunc(slices.Clone(now), func(p string) bool { return slices.Contains(before, p) })
		free := slices.DeleteFunc(slices.Clone(before), func(p string) bool { return slices.Contains(now, p) })
		before = now
		if len(held)+len(free) > 0 {
			changed(held, free)
		}
	}
	look()
	notify(ctx, look)
}

func paths(holds []Hold) []string {
	var all []string
	for _, h := range holds {
		all = append(all, h.Path)
	}
	return all
}

// look reads the mount table and judges. A root that is not there changes nothing: it is the guard's.
func (t *Tracker) look() {
	now, ok := t.system.below(t.root)
	if !ok {
		return
	}
	t.stale = false
	maps.DeleteFunc(now, func(p string, _ identity) bool { return t.exclude.Excluded(p, true) })
	t.now = now
	if !t.began {
		t.began, t.synced = true, t.memory.recall(t.boot)
		if t.memory.Boot == "" || t.memory.Boot != t.boot {
			// Nothing was synced, or what a system mounts as it starts was mounted anew.
			for p, i := range now {
				if _, known := t.synced[p]; !known {
					t.synced[p] = i
				}
			}
		}
		maps.DeleteFunc(t.synced, func(p string, _ identity) bool { return t.exclude.Excluded(p, true) })
	}
	t.judge()
}

// judge compares the mounts with what was synced.
func (t *Tracker) judge() {
	defer t.remember()
	all := make(map[string]struct{})
	for p := range t.now {
		all[p] = struct{}{}
	}
	for p := range t.synced {
		all[p] = struct{}{}
	}
	before := t.holds
	t.holds = nil
	hold := func(path, format string, args ...any) {
		since := time.Now()
		if i := slices.IndexFunc(before, func(h Hold) bool { return h.Path == path }); i >= 0 {
			since = before[i].Since
		}
		t.holds = append(t.holds, Hold{Since: since, Path: path, Reason: fmt.Sprintf("%s: ", sdk.Change{Path: path, Scope: sdk.ScopeSubtree}) + fmt.Sprintf(format, args...)})
	}
	// In this order a path comes before those below it.
	for _, p := range slices.SortedFunc(maps.Keys(all), byComponents) {
		if n := len(t.holds); n > 0 && inside(p, t.holds[n-1].Path) {
			continue
		}
		now, mounted := t.now[p]
		was, known := t.synced[p]
		switch {
		case mounted && known && now.auto: // what was synced is mounted when it is looked at
		case mounted && known && (was.auto || was.same(now)):
			t.synced[p] = now
		case mounted && known:
			hold(p, "%s is mounted where %s was: nothing is sent or deleted there until that is back", now.what, was.what)
		case mounted && t.moved(p, now):
			t.synced[p] = now
		case mounted && (heldIn(before, p) || t.system.hides(t.root, p)):
			hold(p, "%s is mounted over it and hides what is there: nothing is sent or deleted there until it is unmounted", now.what)
		case mounted:
			t.synced[p] = now
		case t.movedAway(was) || !was.device && !t.system.exists(t.root, p):
			delete(t.synced, p)
		default:
			hold(p, "%s is no longer mounted there: nothing is sent or deleted there until it is back", was.what)
		}
	}
}

// moved reports whether the mount that is at path now was synced at a path where it is no longer: the
// directory that it is in was renamed.
func (t *Tracker) moved(path string, m identity) bool {
	for p, was := range t.synced {
		if _, still := t.now[p]; p != path && !still && was.id == m.id && was.same(m) {
			return true
		}
	}
	return false
}

// movedAway reports whether a mount that was synced is at another path now.
func (t *Tracker) movedAway(was identity) bool {
	for _, now := range t.now {
		if now.id == was.id && now.same(was) {
			return true
		}
	}
	return false
}

func heldIn(holds []Hold, path string) bool {
	return slices.ContainsFunc(holds, func(h Hold) bool { return h.Path == path })
}

// inside reports whether path is dir or lies below it.
func inside(path, dir string) bool {
	return sdk.Change{Path: dir, Scope: sdk.ScopeSubtree}.Covers(path)
}

// byComponents orders paths so that what is below one follows it at once.
func byComponents(a, b string) int {
	return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
}
