package inotify

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
	tidy       time.Duration // a directory that lost its place and is not found again in once to twice this has left the tree
	check      time.Duration // between looks at whether the root is still the root
	retry      time.Duration // between attempts to watch what could not be watched
	beforeRead func()        // called before each read from the kernel, if set
}

// The two halves of a rename are microseconds apart; giving a directory up too early costs a walk,
// no more. The root has to be looked at because nothing tells when a directory above it is renamed.
var production = tuning{
	queueLimit: 32 << 20, // some 700,000 events, 40 times what the kernel holds by default
	tidy:       100 * time.Millisecond,
	check:      time.Minute,
	retry:      30 * time.Second,
}

// maxSpare is the largest buffer that is kept for the next events; bursts may need much more.
const maxSpare = 1 << 20

func watchInotify(ctx context.Context, root string, exclude *filter.Filter, asked <-chan sdk.Barrier, r sdk.Reporter) error {
	return production.watch(ctx, root, exclude, asked, r)
}

// watch is one watched root. All of it belongs to the goroutine that runs it; three others fill queue
// and mounted, and run links.
type watch struct {
	tuning
	ctx      context.Context
	root     string // as given; a symlink here is followed each time
	exclude  *filter.Filter
	reporter sdk.Reporter
	kernel   *kernel
	queue    *events.Queue
	mounted  chan struct{}      // capacity 1: the system's mounts have changed
	changes  *mountinfo.Changes // for barriers, which cannot wait for mounted

	tree     *tree
	removed  map[int32]struct{}         // watches taken away, whose last events may still be waiting
	mounts   map[string]mountinfo.Mount // below the root, by path
	ownMount mountinfo.Mount            // that the root is on

	limbo, fading map[*node]struct{} // without a place; fading ones since before the last tidying
	doubt         map[*node]struct{} // not found where they should be: what is in them has to be read again
	active        bool               // events were handled since the last tidying
	lost          bool               // events are missing: the whole tree has to be walked
	walking       bool               // it is being walked, and compared then

	blind      map[*node]cause // what is not watched, or not below
	retrySoon  bool            // attributes changed: what could not be read perhaps can be
	blindStale bool            // blind, or a path in it, has changed since it was reported
	blindSent  []string        // as reported

	links    *hardlink.Finder
	names    *names
	away     movedAway    // last
	into     *node        // in which a new directory is being looked at
	brought  []sdk.Change // directories that were moved into it before it was watched
	handled  uint64       // bytes of events
	asked    <-chan sdk.Barrier
	barriers *barriers

	dirents []byte // scratch for reading directories
	held    int    // directories kept open by the walk
}

// watch implements backend.
func (t tuning) watch(ctx context.Context, root string, exclude *filter.Filter, asked <-chan sdk.Barrier, r sdk.Reporter) error {
	k, err := newKernel()
	if err != nil {
		return err
	}
	if exclude.Empty() {
		exclude = nil
	}
	inner, cancel := context.WithCancel(ctx)
	links := hardlink.New(root, exclude, r)
	w := &watch{
		tuning: t, ctx: inner, root: root, exclude: exclude, reporter: r, kernel: k,
		queue:    events.NewQueue(k.file, t.queueLimit, t.beforeRead),
		mounted:  make(chan struct{}, 1),
		removed:  make(map[int32]struct{}),
		limbo:    make(map[*node]struct{}),
		fading:   make(map[*node]struct{}),
		doubt:    make(map[*node]struct{}),
		blind:    make(map[*node]cause),
		asked:    asked,
		barriers: newBarriers(k),
		links:    links,
		names:    newNames(links),
		dirents:  make([]byte, 64<<10),
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer k.close()
	defer w.barriers.close()
	wg.Go(w.queue.Run)
	wg.Go(func() { w.links.Run(inner) })
	table, err := os.Open(mountinfo.Table)
	if err != nil {
		return fmt.Errorf("inotify needs /proc: %w", err)
	}
	defer table.Close()
	if w.changes, err = mountinfo.NewChanges(); err != nil {
		return fmt.Errorf("inotify needs /proc: %w", err)
	}
	defer w.changes.Close()
	wg.Go(func() { mountinfo.Poll(inner, table, t.check, w.mountsChanged) })
	if err := w.run(); ctx.Err() == nil {
		return err
	}
	return nil
}

func (w *watch) run() error {
	waited, err := w.start()
	if err != nil || w.ctx.Err() != nil {
		return err
	}
	if waited {
		w.report("", sdk.ScopeSubtree, 0)
	} else {
		w.reporter.Ready()
	}
	w.blindStale = true

	var (
		tidy, retry <-chan time.Time
		spare       []byte
	)
	check := time.NewTicker(w.check)
	defer check.Stop()
	for {
		if err := w.mend(); err != nil {
			return err
		}
		if tidy == nil && (len(w.limbo)+len(w.fading)+len(w.doubt) > 0 || w.retrySoon || w.lost) {
			tidy = time.After(w.tidy)
		}
		if retry == nil && len(w.blind) > 0 {
			retry = time.After(w.retry)
		}
		select {
		case <-w.ctx.Done():
			return nil
		case <-w.queue.Ready:
			spare, err = w.drain(spare)
		case b := <-w.asked:
			w.barriers.lay(b)
		case <-w.links.Idle:
		case <-w.mounted:
			err = w.remount()
		case <-check.C:
			err = w.checkRoot()
		case <-tidy:
			tidy = nil
			w.tidyUp()
		case <-retry:
			retry = nil
			w.retryBlind()
		}
		if err != nil {
			return err
		}
	}
}

// drain acts on all events that wait.
func (w *watch) drain(spare []byte) ([]byte, error) {
	buf, lost, err := w.queue.Take(spare)
	if err != nil {
		return nil, err
	}
	w.active = true
	for rest := buf; len(rest) > 0 && w.ctx.Err() == nil; {
		var e event
		var ok bool
		if e, rest, ok = nextEvent(rest); !ok {
			lost = true
			break
		}
		if err := w.handle(e); err != nil {
			return nil, err
		}
	}
	w.handled += uint64(len(buf))
	w.lost = w.lost || lost
	if cap(buf) > maxSpare {
		buf = nil
	}
	return buf, nil
}

// mend settles all doubts that can be settled now.
func (w *watch) mend() error {
	if w.lost {
		if err := w.rewalk(); err != nil {
			return err
		}
		w.report("", sdk.ScopeSubtree, 0)
		w.barriers.meetAll(w.names)
	}
	// What was mounted before a barrier may not have woken anybody yet.
	if len(w.barriers.met) > 0 && w.changes.Happened() {
		if err := w.remount(); err != nil {
			return err
		}
	}
	for n := range w.doubt {
		if !w.tree.attached(n) {
			continue
		}
		// When it is not found, an event that tells where it is has not been handled yet.
		if fd, err := w.open(n); err == nil {
			delete(w.doubt, n)
			w.list(fd, n, kept, false, true)
		}
	}
	w.lookAtNames()
	w.sendUnwatched()
	w.barriers.reached(len(w.doubt)+len(w.limbo)+len(w.fading) > 0, w.names)
	return nil
}

// tidyUp gives up the directories that have left the tree, and patience with those that are not found.
func (w *watch) tidyUp() {
	for n := range w.fading {
		if n.parent == nil {
			w.discard(n)
		}
	}
	w.fading, w.limbo = w.limbo, make(map[*node]struct{})
	if !w.active {
		for n := range w.doubt {
			// All events have been handled and still it is not where it should be.
			w.lost = w.lost || w.tree.attached(n)
		}
	}
	w.active = false
	if w.retrySoon {
		w.retrySoon = false
		w.retryBlind()
	}
}

func (w *watch) report(path string, scope sdk.Scope, ops sdk.Op) {
	w.reporter.Change(sdk.Change{Path: path, Scope: scope, Ops: ops})
}

// rootLost returns the error that ends the watch.
func (w *watch) rootLost(why string) error {
	return sdk.RootLost(fmt.Errorf("%s: %s", w.root, why))
}

// checkRoot fails when the root's path no longer leads to the directory that is watched.
func (w *watch) checkRoot() error {
	fd, err := w.openRoot()
	if err == nil {
		unix.Close(fd)
	}
	return err
}
