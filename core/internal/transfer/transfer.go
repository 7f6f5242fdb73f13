package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/filewatch/filewatch/core/internal/mounts"
	"github.com/filewatch/filewatch/core/internal/queue"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

const (
	// progressEvery is how often a long transfer says how far it is.
	progressEvery = time.Minute
	// maxNamed bounds how many failing paths of one batch are named in the log.
	maxNamed = 10
)

// transfer gives a batch to the transport. With an error nothing of the batch is confirmed, nor is it when
// the batch is to go again.
func (l *lane) transfer(ctx context.Context, batch *queue.Batch, a *audit) (_ sdk.Result, again bool, _ error) {
	started := time.Now()
	changes := batch.Changes()
	full := changes[0].Path == "" && changes[0].Scope == sdk.ScopeSubtree // and therefore the only one
	req := l.request(changes)
	req.ID, req.Attempt = batch.ID, batch.Attempt
	req.List = a != nil
	if req.Beside = l.beside(); !req.Beside {
		req.MaxSize = l.maxSize(full)
		req.MayDefer = !full
		l.leaveBusy(&req, batch)
	}
	allowed := l.limitDeletions(&req, full)
	l.update(func(s *situation) {
		s.began++
		s.inSync, s.said = false, false
		l.progress = &sending{status.Progress{Since: started}, full}
	})
	said := status.Progress{Since: started} // by the last line of the log
	held := l.heldMounts()
	call, done := l.interruptible(ctx)
	defer done()
	var last sdk.Progress
	result, err := l.config.Transport.Sync(call, req, func(p sdk.Progress) {
		last = p
		at := status.Progress{Since: started, Files: p.Files, Bytes: p.Bytes, Portion: p.Portion}
		l.update(func(s *situation) {
			// Anew: who has taken a copy of the situation reads the former one.
			l.progress = &sending{at, full}
			a.add(p.Differences)
		})
		if now := time.Now(); now.Sub(said.Since) >= progressEvery {
			l.logProgress(batch.ID, at, said, now)
			said = status.Progress{Since: now, Bytes: p.Bytes}
		}
	})
	if err != nil && call.Err() != nil && ctx.Err() == nil {
		err = errInterrupted
	}
	if err == nil {
		again, err = l.checkPlace()
	}
	late := a == nil && !l.beside()
	if late {
		a = l.beginAudit() // the watcher may have come to look meanwhile
	}
	l.update(func(s *situation) {
		l.progress = nil
		if late || err != nil {
			a.unlist(changes)
		}
		if err != nil {
			return
		}
		a.addTops(changes)
		a.leave(result.Large)
		s.lastConfirmed = time.Now()
		if full && len(result.Failed) == 0 {
			s.lastFull = started
		}
		s.batches++
		s.sent.Files += result.Files
		s.sent.Deleted += result.Deleted
		s.sent.Bytes += result.Bytes
	})
	if err != nil {
		l.countDeletions(last.Deleted, last.Created, full)
		return result, false, err
	}
	l.endAudit(a, full && !late)
	if full {
		l.config.Guard.Compared(result.Entries)
	}
	left := result.Withheld
	if allowed == 0 {
		if left, err = l.leftOut(ctx, req, started); err != nil {
			return result, false, err
		}
	}
	again = l.afterDeletions(result, full, allowed, left) || again
	// What a mount has hidden meanwhile may have been taken for gone.
	again = again || !slices.Equal(held, l.heldMounts())
	l.remember(full)
	return result, again, nil
}

// logProgress says how far a transfer is. The rate is that since the line before.
func (d *Destination) logProgress(id string, at, said status.Progress, now time.Time) {
	args := []any{"batch", id, "files", at.Files, "bytes", at.Bytes, "rate", status.Rate(at.Bytes-min(said.Bytes, at.Bytes), now.Sub(said.Since))}
	if at.Portion > 0 {
		args = append(args, "done", fmt.Sprintf("%.0f%%", 100*at.Portion))
	}
	if left, ok := at.Left(now); ok {
		args = append(args, "left", left.Round(time.Second).String())
	}
	d.config.Logger.Info("sending", args...)
}

// errInterrupted is why a transfer ends that Interrupt has ended.
var errInterrupted = errors.New("interrupted, because a mount has come or gone")

// interruptible returns the context of a call of the transport that Interrupt ends, until done.
func (l *lane) interruptible(ctx context.Context) (call context.Context, done func()) {
	call, cancel := context.WithCancel(ctx)
	l.update(func(*situation) { l.interrupt = cancel })
	return call, func() {
		l.update(func(*situation) { l.interrupt = nil })
		cancel()
	}
}

// Interrupt has the transfers under way begin again: they look at a source that is no longer what it was.
func (d *Destination) Interrupt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lanes() {
		if l.interrupt != nil {
			l.interrupt()
		}
	}
}

// request returns what all calls of the transport have in common.
func (d *Destination) request(changes []sdk.Change) sdk.SyncRequest {
	return sdk.SyncRequest{
		Sync:        d.config.Sync,
		Attempt:     1,
		Source:      d.config.Source,
		Destination: d.config.Destination,
		Exclude:     append(d.heldPatterns(), d.config.Exclude...),
		Delete:      d.config.Delete,
		Changes:     changes,
		Config:      d.config.ConfigJSON,
	}
}

// heldPatterns exclude the subtrees that nobody knows: they are neither sent nor deleted.
func (d *Destination) heldPatterns() (patterns []string) {
	for _, h := range d.heldMounts() {
		patterns = append(patterns, filter.Literal(h.Path))
	}
	return patterns
}

func (d *Destination) heldMounts() []mounts.Hold {
	if d.config.Mounts == nil {
		return nil
	}
	return d.config.Mounts.Held()
}

// logSent writes the line of a batch and its failing paths.
func (d *Destination) logSent(batch *queue.Batch, result sdk.Result, took time.Duration) {
	log := d.config.Logger
	changes := batch.Changes()
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
