package fanotify

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/events"
	"github.com/filewatch/filewatch/plugins/internal/hardlink"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
	"github.com/filewatch/filewatch/sdk/mountinfo"
)

// tuning holds what tests choose differently.
type tuning struct {
	queueLimit int           // bytes of events that wait to be acted on
	check      time.Duration // between looks at whether the root is still the root
	probe      time.Duration // for the first event to arrive
	own        bool          // report what this process changes, too
	shortQueue bool          // do as where the kernel grants no unlimited queue
	beforeRead func()        // called before each read from the kernel, if set
}

// The root has to be looked at because nothing tells when a directory above it is renamed, if that is in
// another file system.
var production = tuning{
	queueLimit: 32 << 20, // some 500,000 events
	check:      time.Minute,
	probe:      5 * time.Second,
}

// maxSpare is the largest buffer that is kept for the next events; bursts may need much more.
const maxSpare = 1 << 20

func watchFanotify(ctx context.Context, root string, exclude *filter.Filter, asked <-chan sdk.Barrier, r sdk.Reporter) error {
	return production.watch(ctx, root, exclude, asked, r)
}

// watch is one watched root. All of it belongs to the goroutine that runs it; three others fill queue and
// mounted, and run links.
type watch struct {
	tuning
	ctx      context.Context
	root     string // as given; a symlink here is followed each time
	exclude  *filter.Filter
	reporter sdk.Reporter
	group    *group
	queue    *events.Queue
	mounted  chan struct{} // capacity 1: the system's mounts have changed
	asked    <-chan sdk.Barrier
	barriers *barriers
	links    *hardlink.Finder
	pid      int32

	identity  identity         // of the root
	views     []*view          // of the root and of what is mounted below it; the root's first
	reasons   map[mount]string // why other mounts have no view
	unwatched []string         // as reported
	cache     cache
	strays    strays
	handled   uint64 // bytes of events

	probed     bool  // an event about the root has arrived
	lost       bool  // events are missing, or not understood
	suspect    bool  // the root may not be where it was
	remountDue bool  // the mounts are not what they were
	noticeDue  bool  // reasons may have changed since they were reported
	err        error // what ends the watch
}

func (t tuning) watch(ctx context.Context, root string, exclude *filter.Filter, asked <-chan sdk.Barrier, r sdk.Reporter) error {
	g, err := t.newGroup()
	if err != nil {
		return err
	}
	if exclude.Empty() {
		exclude = nil
	}
	inner, cancel := context.WithCancel(ctx)
	w := &watch{
		tuning: t, ctx: inner, root: root, exclude: exclude, reporter: r, group: g,
		queue:   events.NewQueue(g.file, t.queueLimit, t.beforeRead),
		mounted: make(chan struct{}, 1),
		asked:   asked,
		links:   hardlink.New(root, exclude, r),
		pid:     int32(os.Getpid()),
		cache:   cache{places: make(map[string][]place)},
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer g.close()
	defer w.leave()
	if err := w.markRoot(); err != nil {
		return err
	}
	if w.barriers, err = newBarriers(g); err != nil {
		return err
	}
	defer w.barriers.close()
	wg.Go(w.queue.Run)
	wg.Go(func() { w.links.Run(inner) })
	table, err := os.Open(mountinfo.Table)
	if err != nil {
		return fmt.Errorf("fanotify needs /proc: %w", err)
	}
	defer table.Close()
	wg.Go(func() { mountinfo.Poll(inner, table, t.check, w.mountsChanged) })
	if err := w.run(); ctx.Err() == nil {
		return err
	}
	return nil
}

// markRoot has the root and its file system watched.
func (w *watch) markRoot() error {
	fd, err := openRoot(w.root)
	if err != nil {
		return err
	}
	root := &view{fd: fd}
	w.views = []*view{root}
	if err := w.group.add(fd); err != nil {
		return markError(w.root, fstypeOf(fd), err)
	}
	if err := w.group.mark(unix.FAN_MARK_ADD|unix.FAN_MARK_ONLYDIR, rootEvents, fd); err != nil {
		return markError(w.root, fstypeOf(fd), err)
	}
	if w.identity, err = identify(fd); err == nil {
		root.fsid, err = fsidOf(fd)
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", w.root, err)
	}
	return nil
}

// fstypeOf returns the type of the file system that fd is open in.
func fstypeOf(fd int) string {
	table, err := mountinfo.Read()
	if err != nil {
		return "unknown"
	}
	id, _ := mountID(fd)
	own, _ := mountsBelow(table, "/", id)
	return own.FSType
}

func (w *watch) run() error {
	if err := w.remount(); err != nil {
		return err
	}
	if err := w.tryOut(); err != nil || w.ctx.Err() != nil {
		return err
	}
	w.reporter.Ready()

	var spare []byte
	check := time.NewTicker(w.check)
	defer check.Stop()
	for {
		if err := w.mend(); err != nil {
			return err
		}
		var err error
		select {
		case <-w.ctx.Done():
			return nil
		case <-w.queue.Ready:
			spare, err = w.drain(spare)
		case b := <-w.asked:
			err = w.barriers.ask(b)
		case <-w.links.Idle:
		case <-w.mounted:
			w.remountDue = true
		case <-check.C:
			w.remountDue = true
		}
		if err != nil {
			return err
		}
	}
}

// tryOut waits until an event of this very file system has arrived and was understood: some refuse to
// be watched only by keeping silent. Opening the root is an event that leaves no trace in it.
func (w *watch) tryOut() error {
	root := w.views[0]
	if err := w.watchOpens(unix.FAN_MARK_ADD); err != nil {
		return err
	}
	timeout := time.After(w.probe)
	for !w.probed {
		w.lost = false
		w.cache.clear()
		w.leave()
		if !w.enter(root) { // this is the event
			return w.err
		}
		for !w.probed && !w.lost {
			select {
			case <-w.ctx.Done():
				return nil
			case <-timeout:
				return sdk.Misconfigured(fmt.Errorf("watch %s with fanotify: the %s file system reports no events, or not where they are; %s", w.root, root.FSType, instead))
			case <-w.queue.Ready:
				if _, err := w.drain(nil); err != nil {
					return err
				}
			}
		}
	}
	return w.watchOpens(unix.FAN_MARK_REMOVE)
}

// watchOpens has the kernel report, or no longer report, what is opened in the root's file system.
func (w *watch) watchOpens(how uint) error {
	root := w.views[0]
	if !w.enter(root) {
		return w.err
	}
	mask := uint64(unix.FAN_OPEN)
	if how == unix.FAN_MARK_ADD {
		mask |= unix.FAN_ONDIR
	}
	if err := w.group.mark(how|unix.FAN_MARK_FILESYSTEM, mask, root.fd); err != nil {
		return markError(w.root, root.FSType, err)
	}
	return nil
}

// drain acts on all events that wait.
func (w *watch) drain(spare []byte) ([]byte, error) {
	buf, lost, err := w.queue.Take(spare)
	if err != nil {
		return nil, err
	}
	for rest := buf; len(rest) > 0 && w.ctx.Err() == nil && w.err == nil; {
		var e event
		var ok bool
		if e, rest, ok = nextEvent(rest); !ok {
			lost = true
			break
		}
		w.handle(&e)
	}
	w.handled += uint64(len(buf))
	w.lost = w.lost || lost
	if cap(buf) > maxSpare {
		buf = nil
	}
	return buf, w.err
}

// mend settles all doubts.
func (w *watch) mend() error {
	if w.lost {
		// A rename may be among what was lost, also one of the root.
		w.lost, w.suspect = false, true
		w.cache.clear()
		w.strays = strays{}
		w.reporter.Change(sdk.Change{Scope: sdk.ScopeSubtree})
		w.barriers.meet(w.links)
	}
	if len(w.barriers.met) > 0 {
		w.remountDue = true // which the kernel may not have told yet
	}
	if w.remountDue {
		if err := w.remount(); err != nil {
			return err
		}
	}
	if w.suspect {
		w.suspect = false
		w.leave()
		if !w.enter(w.views[0]) {
			return w.err
		}
	}
	w.sendUnwatched()
	w.forgetStrays()
	w.leave() // first: who waits for the barrier may want to unmount
	w.barriers.reached(w.links)
	return w.barriers.send()
}

// fail ends the watch with err, unless it ends already.
func (w *watch) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}
