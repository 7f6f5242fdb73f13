// Package transfer keeps one destination in step: it takes batches from the dirty set, gives them to
// the transport, and confirms what the transport confirmed.
package transfer

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/mounts"
	"github.com/filewatch/filewatch/core/internal/queue"
	"github.com/filewatch/filewatch/core/internal/state"
	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
)

const (
	// A destination that is away is tried after a second, then ever more rarely up to a minute.
	retryMin = time.Second
	retryMax = time.Minute
	// splitAfter is how often in a row a batch fails for no reason that the transport can name before
	// it is split.
	splitAfter = 3
	// holdPoll is how often a source that must not be acted on is looked at again.
	holdPoll = time.Second
)

// Guard is what knows the source; see *guard.Guard.
type Guard interface {
	guard.Checker
	// Entries returns how many entries the source had at the last comparison; 0 = not known.
	Entries() uint64
	// Compared notes how many entries a comparison has counted; 0 = none were counted.
	Compared(entries uint64)
}

// Watch is how the changes of the source are seen.
type Watch interface {
	// Complete reports whether every change of the source reaches Add, and if not, why.
	Complete() (bool, string)
	// Prove calls its argument once every change that was made before has reached Add. It may never do so.
	Prove(func())
	// Looks reports whether some changes are only seen by looking now and then, so that what comes and goes
	// in between is not seen.
	Looks() bool
}

// Mounts knows the subtrees that are not what they were because of mounts; see *mounts.Tracker.
type Mounts interface{ Held() []mounts.Hold }

// Config says what goes where.
type Config struct {
	Sync        string // name of the sync block
	Source      string // absolute path of the root
	Destination sdk.Endpoint
	Exclude     []string
	Delete      bool
	LargeFile   uint64 // size in bytes above which a file goes its own way; 0 = none does
	Transport   sdk.Transport
	ConfigJSON  json.RawMessage // of the transport's block
	Queue       queue.Config
	Guard       Guard
	Budget      *guard.Budget // of deletions at this destination
	Mounts      Mounts        // nil = nothing is mounted below the source
	Watch       Watch
	Slots       *Slots        // of all destinations; nil = no limit
	Record      *state.Record // of the sync block; shared by its destinations
	// Lstat looks at an entry of the source; nil = os.Lstat.
	Lstat  func(path string) (os.FileInfo, error)
	Logger hclog.Logger
}

// Destination is one destination of a sync block with its dirty set. Its methods may be called
// concurrently.
type Destination struct {
	config Config
	main   *lane
	large  *lane        // of the files that are larger than Config.LargeFile
	queue  *queue.Queue // of main
	place  *guard.Place
	call   chan struct{} // capacity 1: holds a value while main, or Verify, has the transport at work

	mu   sync.Mutex // guards now, news and what the lanes say of themselves
	now  situation
	news chan struct{} // closed, and made anew, whenever state or a queue has changed
}

// New returns a destination with nothing to do.
func New(c Config) *Destination {
	if c.Lstat == nil {
		c.Lstat = os.Lstat
	}
	if c.Slots == nil {
		c.Slots = NewSlots(0)
	}
	d := &Destination{
		config: c,
		place:  placeOf(c.Destination),
		call:   make(chan struct{}, 1),
		news:   make(chan struct{}),
	}
	d.main, d.large = newLane(d, c.Queue), newLane(d, largeQueue(c.Queue))
	d.queue = d.main.queue
	d.recall()
	return d
}

// String returns the destination as the operator wrote it.
func (d *Destination) String() string { return d.config.Destination.String() }

// Add says that a path may differ at the destination. It does not block.
func (d *Destination) Add(c sdk.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	// In one step for whoever looks: it is not in sync with c in the queue, and what a transfer of c may have
	// proved by now is not undone.
	d.queue.Add(time.Now(), c)
	d.now.inSync = false
	d.now.audit.report(c)
}

// Rescan compares everything soon, and counts what the watcher has missed.
func (d *Destination) Rescan() {
	d.beginRescan()
	// Not through Add: this is nothing that the watcher has seen.
	d.queue.Add(time.Now(), everything)
}

// everything is the change that means a comparison of everything.
var everything = sdk.Change{Scope: sdk.ScopeSubtree}

// Run transfers until ctx ends. Transfers that are under way then go on until they are done or abort ends.
func (d *Destination) Run(ctx, abort context.Context) {
	turn.Wait(ctx)
	// Of what happens after it nothing is known.
	defer d.update(func(s *situation) { s.inSync = false })
	var wg sync.WaitGroup
	large, abortLarge := turn.As(ctx, "large"), turn.As(abort, "large")
	wg.Go(func() { d.large.run(large, abortLarge) })
	d.makeReady(ctx)
	d.main.run(ctx, abort)
	wg.Wait()
}

// Once compares everything and transfers what differs, one try. It is an error when anything could not
// be transferred.
func (d *Destination) Once(ctx context.Context) error {
	if err := d.config.Guard.Check(); err != nil {
		return err
	}
	d.queue.Add(time.Now(), everything)
	for more := true; more; {
		more = false
		for _, l := range d.lanes() {
			sent, err := l.once(ctx)
			if err != nil {
				return err
			}
			more = more || sent
		}
	}
	if hold := d.deletionHold(); hold != nil {
		return hold
	}
	if held := d.heldMounts(); len(held) > 0 {
		return mountError(held)
	}
	return nil
}

func (d *Destination) lanes() []*lane { return []*lane{d.main, d.large} }

// empty reports whether everything that has reached Add is confirmed.
func (d *Destination) empty() bool { return d.main.queue.Empty() && d.large.queue.Empty() }

// stats counts what is not confirmed.
func (d *Destination) stats() queue.Stats {
	s, large := d.main.queue.Stats(), d.large.queue.Stats()
	s.Pending += large.Pending
	s.Out += large.Out
	s.Failing += large.Failing
	if s.Oldest.IsZero() || !large.Oldest.IsZero() && large.Oldest.Before(s.Oldest) {
		s.Oldest = large.Oldest
	}
	return s
}

// failing returns up to limit of the paths whose last try failed, and how many there are.
func (d *Destination) failing(limit int) ([]queue.Failure, int) {
	list, n := d.main.queue.Failing(limit)
	large, more := d.large.queue.Failing(limit)
	list = append(list, large...)
	slices.SortFunc(list, func(a, b queue.Failure) int { return cmp.Compare(a.Path, b.Path) })
	return list[:min(limit, len(list))], n + more
}

func (d *Destination) isPaused() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now.paused
}

// check returns why the source must not be acted on, nil if it may.
func (d *Destination) check() error {
	err := d.config.Guard.Check()
	d.mu.Lock()
	defer d.mu.Unlock()
	// A hold is looked at every second, which is no news.
	if held := err != nil; held != d.now.held {
		d.now.held = held
		d.changed()
	}
	return err
}

// acquire waits until nobody else calls the transport for this destination, large files apart. It returns nil
// when ctx ends first, and otherwise what is to be called at the end, once or more.
func (d *Destination) acquire(ctx context.Context) (release func()) {
	if ctx.Err() != nil {
		return nil
	}
	select {
	case d.call <- struct{}{}:
		turn.Wait(ctx)
		return sync.OnceFunc(func() { <-d.call })
	case <-ctx.Done():
		return nil
	}
}
