// Package transfer keeps one destination in step: it takes batches from the dirty set, gives them to
// the transport, and confirms what the transport confirmed.
package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/backoff"
	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/queue"
	"github.com/filewatch/filewatch/sdk"
)

const (
	// A destination that is away is tried after a second, then ever more rarely up to a minute.
	retryMin = time.Second
	retryMax = time.Minute
	// holdPoll is how often a source that must not be acted on is looked at again.
	holdPoll = time.Second
	// quietMax is how long the same failure is not repeated in the log.
	quietMax = 10 * time.Minute
	// progressEvery is how often a long transfer says how far it is.
	progressEvery = time.Minute
	// maxNamed bounds how many failing paths of one batch are named in the log.
	maxNamed = 10
)

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
	Guard       *guard.Guard
	// Watched reports whether every change of the source reaches Add, and if not, why.
	Watched func() (bool, string)
	// Prove calls its argument once every change that was made before has reached Add. See watch.Root.
	Prove  func(func())
	Logger hclog.Logger
}

// Destination is one destination of a sync block with its dirty set.
type Destination struct {
	config Config
	queue  *queue.Queue
	proved chan uint64 // capacity 1: number of a proof that has come

	asked atomic.Uint64 // number of the proof that counts; a transfer makes it void

	// Of the goroutine in Run:
	retry     backoff.Backoff
	awaySince time.Time // zero = the last transfer worked
	lastError string    // last failure or hold that was logged
	lastSaid  time.Time // when
}

// New returns a destination with nothing to do.
func New(c Config) *Destination {
	return &Destination{
		config: c,
		queue:  queue.New(c.Queue),
		proved: make(chan uint64, 1),
		retry:  backoff.Backoff{Min: retryMin, Max: retryMax},
	}
}

// String returns the destination as the operator wrote it.
func (d *Destination) String() string { return d.config.Destination.String() }

// Add says that a path may differ at the destination. It does not block and may be called concurrently.
func (d *Destination) Add(c sdk.Change) { d.queue.Add(time.Now(), c) }

// Run transfers until ctx ends. A transfer that is under way then goes on until it is done or abort
// ends.
func (d *Destination) Run(ctx, abort context.Context) {
	for d.waitDue(ctx) {
		if err := d.config.Guard.Check(); err != nil {
			d.say(hclog.Error, "held", err)
			sleep(ctx, holdPoll)
			continue
		}
		batch := d.queue.Take(time.Now())
		if batch == nil {
			continue
		}
		_, err := d.transfer(abort, batch)
		switch {
		case err == nil:
			d.worked()
			d.prove()
		case abort.Err() != nil:
			return
		case sdk.IsRootLost(err):
			d.say(hclog.Error, "held", err)
			sleep(ctx, holdPoll)
		default:
			d.failed(ctx, err)
		}
	}
}

// Once compares everything and transfers what differs, one try. It is an error when anything could not
// be transferred.
func (d *Destination) Once(ctx context.Context) error {
	if err := d.config.Guard.Check(); err != nil {
		return err
	}
	d.Add(sdk.Change{Scope: sdk.ScopeSubtree})
	failed, err := d.transfer(ctx, d.queue.Take(time.Now()))
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("%d paths could not be sent, the first is %s: %s", len(failed), sdk.Change{Path: failed[0].Path}, failed[0].Text)
	}
	return err
}

// waitDue waits until a batch is due. It returns false when ctx ends first.
func (d *Destination) waitDue(ctx context.Context) bool {
	for ctx.Err() == nil {
		at, ok := d.queue.Next()
		var due <-chan time.Time
		if ok {
			wait := time.Until(at)
			if wait <= 0 {
				return true
			}
			due = time.After(wait)
		}
		select {
		case <-due:
		case <-d.queue.Changed():
		case n := <-d.proved:
			d.sayInSync(n)
		case <-ctx.Done():
		}
	}
	return false
}

// transfer gives a batch to the transport and the outcome to the queue. With an error nothing of the
// batch is confirmed.
func (d *Destination) transfer(ctx context.Context, batch *queue.Batch) ([]sdk.PathError, error) {
	d.asked.Add(1)
	changes := batch.Changes()
	started := time.Now()
	reported := started
	result, err := d.config.Transport.Sync(ctx, sdk.SyncRequest{
		Sync:        d.config.Sync,
		ID:          batch.ID,
		Attempt:     batch.Attempt,
		Source:      d.config.Source,
		Destination: d.config.Destination,
		Exclude:     d.config.Exclude,
		Delete:      d.config.Delete,
		Changes:     changes,
		Config:      d.config.ConfigJSON,
	}, func(p sdk.Progress) {
		if now := time.Now(); now.Sub(reported) >= progressEvery {
			reported = now
			d.config.Logger.Info("sending", "batch", batch.ID, "files", p.Files, "bytes", p.Bytes)
		}
	})
	if err != nil {
		d.queue.Return(time.Now(), batch)
		return nil, err
	}
	d.queue.Done(time.Now(), batch, result.Failed)
	d.logSent(batch, changes, result, time.Since(started))
	return result.Failed, nil
}

// logSent writes the line of a batch and its failing paths.
func (d *Destination) logSent(batch *queue.Batch, changes []sdk.Change, result sdk.Result, took time.Duration) {
	log := d.config.Logger
	message := "sent"
	if changes[0].Path == "" && changes[0].Scope == sdk.ScopeSubtree {
		message = "compared everything"
	}
	log.Info(message, "batch", batch.ID, "changes", len(changes), "files", result.Files, "deleted", result.Deleted,
		"bytes", result.Bytes, "failed", len(result.Failed), "time", took.Round(time.Millisecond).String())
	if log.IsDebug() {
		for _, c := range changes {
			log.Debug("sent", "batch", batch.ID, "path", c.String())
		}
	}
	for i, f := range result.Failed {
		if i == maxNamed {
			log.Warn("not sent", "more", len(result.Failed)-maxNamed)
			break
		}
		log.Warn("not sent, will be tried again", "path", sdk.Change{Path: f.Path}.String(), "err", f.Text)
	}
}

// prove asks, when nothing is left to send, for proof that nothing is on its way from the watcher either.
func (d *Destination) prove() {
	if !d.queue.Empty() {
		return
	}
	if all, reason := d.config.Watched(); !all {
		d.say(hclog.Warn, "all known changes are sent, but not everything is watched", errors.New(reason))
		return
	}
	asked := d.asked.Add(1)
	d.config.Prove(func() {
		if d.asked.Load() == asked {
			select {
			case <-d.proved: // of an older one, which no longer counts
			default:
			}
			select {
			case d.proved <- asked:
			default:
			}
		}
	})
}

// sayInSync is called when the proof has come.
func (d *Destination) sayInSync(proof uint64) {
	if all, _ := d.config.Watched(); all && proof == d.asked.Load() && d.queue.Empty() {
		d.config.Logger.Info("in sync")
	}
}

// worked notes that the destination could be reached.
func (d *Destination) worked() {
	d.retry.Reset()
	if d.awaySince.IsZero() {
		return
	}
	d.config.Logger.Info("works again", "after", time.Since(d.awaySince).Round(time.Second).String())
	d.awaySince, d.lastError = time.Time{}, ""
}

// failed waits before the next try.
func (d *Destination) failed(ctx context.Context, err error) {
	if d.awaySince.IsZero() {
		d.awaySince = time.Now()
	}
	wait := d.retry.Next()
	level := hclog.Warn
	if sdk.IsMisconfigured(err) {
		level = hclog.Error
	}
	d.say(level, "nothing could be sent, will be tried again", err, "pending", d.queue.Stats().Pending, "retry", wait.Round(time.Millisecond).String())
	sleep(ctx, wait)
}

// say logs a failure, but not the same one again and again.
func (d *Destination) say(level hclog.Level, message string, err error, args ...any) {
	if err.Error() == d.lastError && time.Since(d.lastSaid) < quietMax {
		return
	}
	d.lastError, d.lastSaid = err.Error(), time.Now()
	d.config.Logger.Log(level, message, append([]any{"err", err}, args...)...)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
