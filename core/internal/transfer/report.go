package transfer

import (
	"context"
	"errors"
	"time"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/queue"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
)

// maxListed bounds how many failing paths a report names.
const maxListed = 10

// Refresh asks, where everything known is confirmed, for proof that nothing else is on its way, and waits
// for it until ctx ends. A report after that is as fresh as can be.
func (d *Destination) Refresh(ctx context.Context) {
	if !d.queue.Empty() {
		return
	}
	if all, _ := d.config.Watch.Complete(); !all {
		return
	}
	turn.Wait(ctx)
	began := time.Now()
	news := d.listen()
	d.askProof()
	for ctx.Err() == nil && d.queue.Empty() {
		d.mu.Lock()
		done := d.now.inSync && !d.now.syncedAt.Before(began)
		d.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
			turn.Wait(ctx)
			news = d.listen()
		case <-ctx.Done():
		}
	}
}

// Missed returns how many changes comparisons have found that the watcher had not told.
func (d *Destination) Missed() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now.missed
}

// Report returns what the destination is doing.
func (d *Destination) Report() status.Destination {
	held := d.config.Guard.Check()
	hidden := d.heldMounts()
	_ = d.placeAway() // what it finds shows in what follows
	stats := d.queue.Stats()
	failing, n := d.queue.Failing(maxListed)
	d.mu.Lock()
	s := d.now
	d.mu.Unlock()
	out := status.Destination{
		Destination:   d.String(),
		State:         stateOf(s, held != nil || len(hidden) > 0, stats, n),
		Pending:       stats.Pending + stats.Out,
		Oldest:        moment(stats.Oldest),
		SyncedAt:      moment(s.syncedAt),
		LastConfirmed: moment(s.lastConfirmed),
		LastFull:      moment(s.lastFull),
		FailingMore:   n - len(failing),
		Sent:          status.Totals{Batches: s.batches, Files: s.sent.Files, Deleted: s.sent.Deleted, Bytes: s.sent.Bytes},
	}
	if s.sending != nil {
		out.Progress = &status.Progress{Since: s.sending.since, Files: s.sending.files, Bytes: s.sending.bytes}
	}
	if s.away != nil {
		out.Away = &status.Failure{Text: s.away.Text, Since: s.away.Since, Next: moment(s.away.Next)}
	}
	if hold, ok := errors.AsType[*guard.Hold](held); ok {
		out.Hold = holdReport(hold)
	} else if s.deletions != nil {
		out.Hold = holdReport(s.deletions.hold)
	} else if len(hidden) > 0 {
		out.Hold = &status.Hold{Kind: "mount", Text: mountError(hidden).Error(), Since: hidden[0].Since}
	}
	for _, f := range failing {
		out.Failing = append(out.Failing, status.Path{
			Path: sdk.Change{Path: f.Path}.String(), Text: f.Text, Since: f.Since, Next: moment(f.Next), Attempts: f.Attempts,
		})
	}
	return out
}

func stateOf(s situation, held bool, stats queue.Stats, failing int) status.State {
	switch {
	case s.paused:
		return status.Paused
	case held || s.deletions != nil:
		return status.Held
	case s.away != nil:
		return status.Away
	case s.sending != nil && s.sending.full:
		return status.Comparing
	case s.sending != nil:
		return status.Sending
	case failing > 0:
		return status.Failing
	case stats.Pending+stats.Out > 0:
		return status.Pending
	case s.inSync:
		return status.InSync
	}
	return status.Unproved
}

func holdReport(h *guard.Hold) *status.Hold {
	out := &status.Hold{Kind: string(h.Kind), Text: h.Seen, Since: h.Since}
	if len(h.Sample) == 0 && h.Lost != "" {
		out.Text += "; " + h.Lost
	}
	if h.Remedy != "" {
		out.Commands = []string{h.Remedy}
	}
	for _, p := range h.Sample {
		out.Sample = append(out.Sample, p.String())
	}
	return out
}

// moment returns a time for a report, nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
