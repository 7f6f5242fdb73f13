package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/mounts"
	"github.com/filewatch/filewatch/core/internal/turn"
)

// proofAgain is how often a proof is asked for again that did not come: the watcher may have been
// restarted.
const proofAgain = 2 * time.Second

// Pause stops transfers until Resume; the one under way ends. Changes are noted meanwhile.
func (d *Destination) Pause() { d.update(func(s *situation) { s.paused = true }) }

// Resume ends a pause.
func (d *Destination) Resume() {
	d.update(func(s *situation) {
		s.paused = false
		d.main.hurry, d.large.hurry = true, true
	})
}

// Resync compares everything now, and does not wait for the next try of what failed.
func (d *Destination) Resync() {
	d.queue.Add(time.Now(), everything)
	d.update(func(s *situation) {
		s.inSync = false
		d.main.hurry, d.large.hurry = true, true
	})
}

// ApproveDeletions lets the deletions through that are held, once. It returns their hold, nil when none
// are held. With exactly it lets no more through than the hold has counted.
func (d *Destination) ApproveDeletions(exactly bool) *guard.Hold {
	hold := d.deletionHold()
	if hold != nil {
		count := guard.Any
		if exactly {
			count = hold.Count
		}
		d.config.Budget.Approve(count)
		// In this order there is no moment when nothing is held and nothing to do.
		d.Resync()
		d.update(func(s *situation) { s.deletions = nil })
		d.remember(true)
	}
	return hold
}

// ApproveNext lets the next comparison of everything delete any number.
func (d *Destination) ApproveNext() { d.config.Budget.Approve(guard.Any) }

// Flush returns nil once every change that was made before the call is confirmed, and an error as soon as
// that cannot be soon, or when ctx ends.
func (d *Destination) Flush(ctx context.Context) error {
	reached := make(chan struct{}, 1)
	prove := func() {
		d.config.Watch.Prove(func() {
			select {
			case reached <- struct{}{}:
			default:
			}
		})
	}
	prove()
	again := time.NewTicker(proofAgain)
	defer again.Stop()
	for told := false; !told; {
		news := d.listen()
		if err := d.obstacle(); err != nil {
			return err
		}
		select {
		case <-reached:
			told = true
		case <-again.C:
			turn.Wait(ctx)
			prove()
		case <-news:
		case <-ctx.Done():
			return errors.New("the watcher has not proved yet that it has told everything")
		}
		turn.Wait(ctx)
	}
	d.mu.Lock()
	judged := d.now.judged
	d.mu.Unlock()
	if err := d.drain(ctx); err != nil {
		return err
	}
	// What came and went between two looks is told by nobody.
	if d.lookAgain(judged) {
		return d.drain(ctx)
	}
	return nil
}

// drain waits until everything is confirmed that has reached Add.
func (d *Destination) drain(ctx context.Context) error {
	now := time.Now()
	d.queue.Hurry(now)
	for {
		news := d.listen()
		stats := d.stats()
		if stats.Oldest.IsZero() || stats.Oldest.After(now) {
			// Deletions that are held are not in the queue.
			if hold := d.deletionHold(); hold != nil {
				return hold
			}
			return nil
		}
		if err := d.obstacle(); err != nil {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("%d changes are not confirmed yet", stats.Pending+stats.Out)
		}
		turn.Wait(ctx)
	}
}

// listen returns a channel that is closed at the next news.
func (d *Destination) listen() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.news
}

// obstacle returns why not everything can be confirmed soon, nil if nothing is known to be in the way.
func (d *Destination) obstacle() error {
	if err := d.config.Guard.Check(); err != nil {
		return err
	}
	if held := d.heldMounts(); len(held) > 0 {
		return mountError(held)
	}
	if err := d.placeAway(); err != nil {
		return err
	}
	d.mu.Lock()
	s, away := d.now, d.away()
	d.mu.Unlock()
	switch {
	case s.paused:
		return fmt.Errorf("paused: `filewatch resume %s` goes on", d.config.Sync)
	case away != nil:
		return errors.New(away.Text)
	case s.deletions != nil:
		return s.deletions.hold
	}
	if failing, n := d.failing(1); n > 0 {
		return failedError(failing[0].Path, failing[0].Text, n)
	}
	return nil
}

// mountError is why what is below mounts is not transferred.
func mountError(held []mounts.Hold) error {
	more := ""
	if len(held) > 1 {
		more = fmt.Sprintf(" (and %d other subtrees)", len(held)-1)
	}
	return errors.New(held[0].Reason + more)
}
