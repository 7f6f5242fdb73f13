package transfer

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/sdk"
)

// heldAgain is how often a comparison finds out whether held deletions are still too many.
const heldAgain = 10 * time.Minute

// deletions are held because they are more than the budget allows. Until a comparison of everything gets by
// with what is allowed, or somebody approves, no batch deletes.
type deletions struct {
	hold  *guard.Hold
	again time.Time // compare
}

// limitDeletions sets what a request may delete. It returns how many entries those may be, guard.Any also
// when deletions are no matter here.
func (l *lane) limitDeletions(req *sdk.SyncRequest, full bool) uint64 {
	if !req.Delete {
		return guard.Any
	}
	if l.deletionHold() != nil && !full {
		req.Delete = false
		return guard.Any
	}
	allowed := l.allowed(full)
	switch allowed {
	case guard.Any:
	case 0:
		req.Delete = false
	default:
		req.MaxDelete = allowed
	}
	return allowed
}

// allowed is how many entries a call of the lane may delete now.
func (l *lane) allowed(full bool) uint64 {
	allowed := l.config.Budget.Allowed(time.Now(), l.config.Guard.Entries(), full)
	l.mu.Lock()
	spare := l.now.busy != nil && l.now.busy.spare
	l.mu.Unlock()
	switch {
	case allowed == guard.Any:
	case l.beside() && spare:
		// No more than what may be in the way of the file. If that is a directory with something in it, a
		// comparison of everything decides.
		allowed = 1
	case l.beside():
		allowed = 0
	case spare:
		allowed -= min(allowed, 1)
	}
	return allowed
}

// leftOut returns what a request, begun at some time, would have deleted that was not allowed any deletion. What
// was gone when it was carried out and has come again since is left out too, and dirty: the destination still has
// what was there before.
func (d *Destination) leftOut(ctx context.Context, req sdk.SyncRequest, began time.Time) (left sdk.Withheld, err error) {
	req.Delete, req.DryRun, req.List = true, true, true
	_, err = d.config.Transport.Sync(ctx, req, func(p sdk.Progress) {
		for _, diff := range p.Differences {
			if diff.Kind == sdk.Extra {
				left.Count++
				if len(left.Sample) < maxListed {
					left.Sample = append(left.Sample, diff.Path)
				}
				continue
			}
			if info := d.look(diff, nil); d.changedAfter(diff.Path, info, began) {
				d.Add(sdk.Change{Path: diff.Path, Scope: sdk.ScopeSubtree})
			}
		}
	})
	return left, err
}

// afterDeletions acts on what a transport did not delete. It reports whether the same batch is to go again.
func (l *lane) afterDeletions(result sdk.Result, full bool, allowed uint64, left sdk.Withheld) (again bool) {
	now := time.Now()
	budget := l.config.Budget
	l.countDeletions(result.Deleted, result.Created, full)
	if full {
		budget.Compared()
	}
	if left.Count == 0 {
		if full {
			l.releaseDeletions()
		}
		return false
	}
	// More may be allowed by now: this comparison has counted the source, or this batch has created
	// something.
	if more := l.allowed(full); !l.beside() && more > allowed && left.Count <= more {
		return true
	}
	hold := budget.Hold(now, guard.Excess{Sync: l.config.Sync, Destination: l.String(), Count: left.Count, Sample: left.Sample})
	l.mu.Lock()
	if before := l.now.deletions; before != nil {
		hold.Since = before.hold.Since
	}
	l.now.deletions = &deletions{hold: hold, again: now.Add(heldAgain)}
	l.changed()
	l.mu.Unlock()
	l.remember(true)
	if !full {
		// Only a comparison of everything counts all that would go.
		l.compareHeld()
		return false
	}
	l.say(hclog.Error, "deletions are held", errors.New(hold.Error()))
	return false
}

// countDeletions notes what a call has deleted and created, whatever became of it.
func (d *Destination) countDeletions(deleted, created uint64, full bool) {
	if full {
		// What a comparison creates was missing at the destination, and is no news at the source.
		created = min(created, deleted)
	}
	d.config.Budget.Deleted(time.Now(), deleted, created)
}

// compareHeld compares everything, to see whether the deletions are still too many.
func (d *Destination) compareHeld() {
	now := time.Now()
	d.update(func(s *situation) {
		if s.deletions != nil {
			s.deletions = &deletions{hold: s.deletions.hold, again: now.Add(heldAgain)}
		}
	})
	d.queue.Add(now, everything)
}

// releaseDeletions ends their hold: a comparison of everything has done without.
func (d *Destination) releaseDeletions() {
	if d.deletionHold() == nil {
		return
	}
	d.update(func(s *situation) { s.deletions = nil })
	d.remember(true)
	d.config.Logger.Info("deletions are no longer held")
}

// deletionHold returns why deletions are held, nil if they are not.
func (d *Destination) deletionHold() *guard.Hold {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now.deletions == nil {
		return nil
	}
	return d.now.deletions.hold
}
