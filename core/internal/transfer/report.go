package transfer

import (
	"context"
	"errors"
	"time"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/mounts"
	"github.com/filewatch/filewatch/core/internal/queue"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
)

// maxListed bounds how many failing paths a report names.
const maxListed = 10

// Refresh asks, where everything known is confirmed, for proof that nothing else is on its way, and waits
// for it until ctx ends. A report after that says "in sync" only if the proof has come: a watcher that hangs,
// or is slow, may have more to tell.
func (d *Destination) Refresh(ctx context.Context) {
	if !d.empty() {
		return
	}
	if all, _ := d.config.Watch.Complete(); !all {
		return
	}
	turn.Wait(ctx)
	began := time.Now()
	news := d.listen()
	d.askProof()
	for d.empty() {
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
			d.update(func(s *situation) { s.inSync = false })
			return
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
	var hidden []mounts.Hold
	if held == nil { // what hangs is not asked twice
		hidden = d.heldMounts()
	}
	_ = d.placeAway() // what it finds shows in what follows
	stats := d.stats()
	failing, n := d.failing(maxListed)
	d.mu.Lock()
	s, away, sending := d.now, d.away(), d.sending()
	waits := d.main.waits || d.large.waits
	d.mu.Unlock()
	out := status.Destination{
		Destination:   d.String(),
		State:         stateOf(s, away, sending, held != nil || len(hidden) > 0, stats, n),
		Pending:       stats.Pending + stats.Out,
		Oldest:        moment(stats.Oldest),
		SyncedAt:      moment(s.syncedAt),
		LastConfirmed: moment(s.lastConfirmed),
		LastFull:      moment(s.lastFull),
		Waits:         waits,
		FailingMore:   n - len(failing),
		Sent:          status.Totals{Batches: s.batches, Files: s.sent.Files, Deleted: s.sent.Deleted, Bytes: s.sent.Bytes},
	}
	if sending != nil {
		out.Progress = &sending.Progress
	}
	if s.busy != nil {
		out.Large = sdk.Change{Path: s.busy.path}.String()
	}
	if away != nil {
		out.Away = &status.Failure{Text: away.Text, Since: away.Since, Next: moment(away.Next)}
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

// Progress returns how far the transfers under way are, and whether there are any.
func (d *Destination) Progress() (status.Progress, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sending()
	if s == nil {
		return status.Progress{}, false
	}
	return s.Progress, true
}

func stateOf(s situation, away *away, sending *sending, held bool, stats queue.Stats, failing int) status.State {
	switch {
	case s.paused:
		return status.Paused
	case held || s.deletions != nil:
		return status.Held
	case away != nil:
		return status.Away
	case sending != nil && sending.full:
		return status.Comparing
	case sending != nil:
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
