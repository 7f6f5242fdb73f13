// Package transfer keeps one destination in step: it takes batches from the dirty set, gives them to
// the transport, and confirms what the transport confirmed.
package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/backoff"
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
	Transport   sdk.Transport
	ConfigJSON  json.RawMessage // of the transport's block
	Queue       queue.Config
	Guard       Guard
	Budget      *guard.Budget // of deletions at this destination
	Mounts      Mounts        // nil = nothing is mounted below the source
	Watch       Watch
	Record      *state.Record // of the sync block; shared by its destinations
	// Lstat looks at an entry of the source; nil = os.Lstat.
	Lstat  func(path string) (os.FileInfo, error)
	Logger hclog.Logger
}

// Destination is one destination of a sync block with its dirty set. Its methods may be called
// concurrently.
type Destination struct {
	config Config
	queue  *queue.Queue
	place  *guard.Place
	wake   chan struct{} // capacity 1: what waitDue looks at has changed
	call   chan struct{} // capacity 1: holds a value while the transport is at work

	mu   sync.Mutex // guards now and news
	now  situation
	news chan struct{} // closed, and made anew, whenever state or the queue has changed

	// Of the goroutine in Run:
	retry     backoff.Backoff
	plain     int       // failures in a row that the transport had no reason for
	lastError string    // last failure or hold that was logged
	lastSaid  time.Time // when
}

// New returns a destination with nothing to do.
func New(c Config) *Destination {
	if c.Lstat == nil {
		c.Lstat = os.Lstat
	}
	d := &Destination{
		config: c,
		queue:  queue.New(c.Queue),
		place:  placeOf(c.Destination),
		wake:   make(chan struct{}, 1),
		call:   make(chan struct{}, 1),
		news:   make(chan struct{}),
		retry:  backoff.Backoff{Min: retryMin, Max: retryMax, Rand: c.Queue.Rand},
	}
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

// Run transfers until ctx ends. A transfer that is under way then goes on until it is done or abort
// ends.
func (d *Destination) Run(ctx, abort context.Context) {
	// Of what happens after it nothing is known.
	defer d.update(func(s *situation) { s.inSync = false })
	for d.waitDue(ctx) {
		if !d.acquire(ctx) {
			return
		}
		// Now, for to wait for the transport may have taken long.
		if d.isPaused() {
			d.release()
			continue
		}
		hold := d.check()
		var err error
		if hold == nil {
			err = d.next(abort)
		}
		d.release()
		switch {
		case hold != nil:
			d.say(hclog.Error, "held", hold)
			d.wait(ctx, holdPoll)
		case err == nil:
			d.worked()
			d.prove()
		case abort.Err() != nil:
			return
		case errors.Is(err, errInterrupted):
		case sdk.IsRootLost(err):
			d.say(hclog.Error, "held", err)
			d.wait(ctx, holdPoll)
		default:
			d.failed(ctx, err)
		}
	}
}

func (d *Destination) isPaused() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now.paused
}

// check returns why the source must not be acted on, nil if it may.
func (d *Destination) check() error {
	err := d.config.Guard.Check()
	d.update(func(s *situation) { s.held = err != nil })
	return err
}

// next transfers what is due.
func (d *Destination) next(ctx context.Context) error {
	if _, err := d.checkPlace(); err != nil {
		return err
	}
	audit := d.beginAudit()
	batch := d.queue.Take(time.Now())
	if batch == nil {
		return nil
	}
	started := time.Now()
	result, again, err := d.transfer(ctx, batch, audit)
	switch {
	case err == nil:
		d.plain = 0
		d.sent(batch, result, again)
		d.logSent(batch, result, time.Since(started))
		return nil
	case !d.mayBeOnePath(ctx, batch, err):
		d.queue.Return(time.Now(), batch)
	case len(batch.Changes()) == 1:
		// What fails alone holds up nothing else.
		path := batch.Changes()[0].Path
		d.queue.Done(time.Now(), batch, []sdk.PathError{{Path: path, Text: err.Error()}})
		d.say(hclog.Warn, "not sent, will be tried again", err, "path", batch.Changes()[0].String())
		return nil
	default:
		d.queue.Split(time.Now(), batch)
	}
	return err
}

// sent confirms what a transfer of a batch has settled.
func (d *Destination) sent(batch *queue.Batch, result sdk.Result, again bool) {
	if again {
		d.queue.Return(time.Now(), batch)
	} else {
		d.queue.Done(time.Now(), batch, result.Failed)
	}
}

// mayBeOnePath reports whether something in the batch rather than the destination may be why it fails
// as a whole: it does again and again, or something in it has failed before.
func (d *Destination) mayBeOnePath(ctx context.Context, batch *queue.Batch, err error) bool {
	if ctx.Err() != nil || errors.Is(err, errInterrupted) || sdk.IsUnavailable(err) || sdk.IsMisconfigured(err) || sdk.IsRootLost(err) {
		d.plain = 0
		return false
	}
	if d.plain++; batch.Suspect() {
		d.plain = max(d.plain, splitAfter+1)
	}
	return d.plain > splitAfter
}

// waitDue waits until a batch is due. It returns false when ctx ends first.
func (d *Destination) waitDue(ctx context.Context) bool {
	for ctx.Err() == nil {
		d.judgeAudit()
		d.sayInSync()
		timer, due := d.due()
		if due {
			return true
		}
		select {
		case <-timer:
		case <-d.queue.Changed():
		case <-d.wake:
		case <-ctx.Done():
		}
		turn.Wait(ctx)
	}
	return false
}

// due reports whether there is something to do now, and else when to ask again.
func (d *Destination) due() (<-chan time.Time, bool) {
	d.mu.Lock()
	paused, deletions := d.now.paused, d.now.deletions
	d.mu.Unlock()
	if paused {
		return nil, false
	}
	if deletions != nil && time.Until(deletions.again) <= 0 {
		d.compareHeld()
	}
	at, ok := d.queue.Next()
	if deletions != nil && (!ok || deletions.again.Before(at)) {
		at, ok = deletions.again, true
	}
	if !ok {
		return nil, false
	}
	wait := time.Until(at)
	return time.After(wait), wait <= 0
}

// acquire waits until nobody else calls the transport for this destination. It returns false when ctx
// ends first.
func (d *Destination) acquire(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case d.call <- struct{}{}:
		turn.Wait(ctx)
		return true
	case <-ctx.Done():
		return false
	}
}

func (d *Destination) release() { <-d.call }

// worked notes that the destination could be reached.
func (d *Destination) worked() {
	d.retry.Reset()
	var since time.Time
	d.update(func(s *situation) {
		if s.away != nil {
			since = s.away.Since
		}
		s.away = nil
	})
	if !since.IsZero() {
		d.config.Logger.Info("works again", "after", time.Since(since).Round(time.Second).String())
		d.lastError = ""
	}
}

// failed waits before the next try.
func (d *Destination) failed(ctx context.Context, err error) {
	wait := retryMin
	if d.plain <= splitAfter {
		wait = d.retry.Next()
	}
	level := hclog.Warn
	if sdk.IsMisconfigured(err) {
		level = hclog.Error
	}
	next := time.Now().Add(wait)
	d.update(func(s *situation) { s.away = s.away.again(err, next) })
	d.say(level, "nothing could be sent, will be tried again", err, "pending", d.queue.Stats().Pending, "retry", wait.Round(time.Millisecond).String())
	d.wait(ctx, wait)
}

// Once compares everything and transfers what differs, one try. It is an error when anything could not
// be transferred.
func (d *Destination) Once(ctx context.Context) error {
	if err := d.config.Guard.Check(); err != nil {
		return err
	}
	d.queue.Add(time.Now(), everything)
	for {
		batch := d.queue.Take(time.Now())
		if batch == nil {
			break
		}
		started := time.Now()
		result, again, err := d.transfer(ctx, batch, nil)
		if err != nil {
			return err
		}
		d.sent(batch, result, again)
		d.logSent(batch, result, time.Since(started))
		if len(result.Failed) > 0 {
			return failedError(result.Failed[0].Path, result.Failed[0].Text, len(result.Failed))
		}
	}
	if hold := d.deletionHold(); hold != nil {
		return hold
	}
	return nil
}
