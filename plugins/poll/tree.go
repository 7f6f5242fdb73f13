package poll

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// Many requests under way are what makes up for the time that a server takes for each. Locally there
// is work for as many processors as there are, but a tree must not take a whole machine.
const (
	maxLocalWorkers = 4
	remoteWorkers   = 16
)

// hotFor is how long after its last change a file is looked at in light passes too: who saved a file
// or appended to it does so again within minutes.
const hotFor = 5 * time.Minute

// tick is the unit of a tree's clock.
const tick = 100 * time.Millisecond

// tree is what is known of a root. One pass at a time belongs to it.
type tree struct {
	root     string // as given; a symlink here is followed each time
	exclude  *filter.Filter
	way      way // to what is looked at; nil = all
	reporter sdk.Reporter
	epoch    time.Time     // when its clock began
	hotFor   time.Duration // light passes look at files that changed so lately
	system   system
	progress atomic.Uint64 // directories and blocks of entries looked at
	served   atomic.Bool   // something in it is mounted from a server

	self entry // the root
	top  *dir  // what is in it; nil until a pass has ended

	lingering []lingering // the first one since the longest time
}

// system is how directories are looked at; tests inject faults.
type system struct {
	list   func(f folder, buf []byte, add func(name []byte, mode uint16)) error
	look   func(f folder, name []byte, e *entry, fresh bool) error
	remote func(folder) bool
}

var kernel = system{folder.list, folder.look, folder.remote}

func newTree(root string, exclude *filter.Filter, only []string, r sdk.Reporter) *tree {
	if exclude.Empty() {
		exclude = nil
	}
	return &tree{root: root, exclude: exclude, way: newWay(only), reporter: r, epoch: time.Now(), hotFor: hotFor, system: kernel}
}

// ticks returns the time of the tree's clock, which nobody can set.
func (t *tree) ticks(at time.Time) uint32 { return uint32(at.Sub(t.epoch) / tick) }

// pass looks at the tree once, and reports what has changed. The first pass reports nothing: it is what
// later ones compare with.
func (t *tree) pass(ctx context.Context, light bool) (outcome, error) {
	began := time.Now()
	p := newPass(ctx, t, light)
	root, err := openRoot(t.root)
	if err == nil {
		err = p.begin(root)
		if err == nil {
			p.run()
		}
		root.close()
	}
	if err == nil && ctx.Err() == nil {
		err = t.check()
	}
	switch {
	case ctx.Err() != nil:
		return outcome{}, ctx.Err()
	case err == nil:
	case t.top == nil || sdk.IsRootLost(rootError(t.root, err)):
		return outcome{}, rootError(t.root, err)
	default: // the tree is unknown, and all that was found meanwhile is in doubt with it
		p.late = nil
		p.top.lost = true
		p.fail("", err)
	}
	t.top = p.top
	if t.lingering = append(t.lingering, p.lingering...); len(t.lingering) > maxLingering {
		t.lingering, p.all = nil, true
	}
	p.sendLate()
	o := outcome{cost: max(p.cost, time.Since(began)), complete: err == nil && !p.top.lost}
	o.unwatched, o.reason = summarize(p.failed)
	o.lingers = t.settle()
	return o, nil
}

// errReplaced says that the root's path leads to another directory.
var errReplaced = errors.New("the directory was replaced by another one, or something was mounted or unmounted")

// check fails when the root's path no longer leads to the directory that was looked at.
func (t *tree) check() error {
	f, err := openRoot(t.root)
	if err != nil {
		return err
	}
	defer f.close()
	var e entry
	if err := t.system.look(f, itself, &e, t.system.remote(f)); err != nil {
		return err
	}
	if !t.self.sameDir(&e) {
		return errReplaced
	}
	return nil
}

// sameDir reports whether e and o are one directory.
func (e *entry) sameDir(o *entry) bool { return e.ino == o.ino && e.mount == o.mount && o.isDir() }

// rootError explains why the root cannot be looked at.
func rootError(root string, err error) error {
	lost := func(why string) error { return sdk.RootLost(fmt.Errorf("%s: %s", root, why)) }
	switch {
	case errors.Is(err, errReplaced):
		return lost(err.Error())
	case errors.Is(err, unix.ENOENT):
		return lost("the directory does not exist")
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return lost("it is not a directory")
	case denied(err):
		return sdk.Misconfigured(fmt.Errorf("%s: %w; let the user that filewatch runs as read and enter the directory and enter those above it", root, err))
	}
	return fmt.Errorf("look at %s: %w", root, err)
}

// denied reports whether err says that permission is missing.
func denied(err error) bool { return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) }

// workers returns how many directories are looked at at once.
func workers(remote bool) int {
	if remote {
		return remoteWorkers
	}
	return min(runtime.GOMAXPROCS(0), maxLocalWorkers)
}
