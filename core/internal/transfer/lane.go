package transfer

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/backoff"
	"github.com/filewatch/filewatch/core/internal/queue"
	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
)

// lane is one of the two ways to a destination: dirty paths, the loop that sends them, and what it knows of
// its failures. Every change goes into the main one. A file that turns out to be large goes on in the other,
// and is sent there while the main one goes on; see large.go.
type lane struct {
	*Destination
	queue *queue.Queue
	wake  chan struct{} // capacity 1: what waitDue looks at has changed

	// Guarded by the destination's mu:
	hurry     bool     // the next try is not waited for
	failure   *away    // the last transfer failed as a whole
	progress  *sending // a transfer is under way
	interrupt func()   // ends it; nil when there is none
	waits     bool     // for a slot

	// Of the goroutine in run:
	retry     backoff.Backoff
	plain     int       // failures in a row that the transport had no reason for
	lastError string    // last failure or hold that was logged
	lastSaid  time.Time // when
}

func newLane(d *Destination, c queue.Config) *lane {
	return &lane{
		Destination: d,
		queue:       queue.New(c),
		wake:        make(chan struct{}, 1),
		retry:       backoff.Backoff{Min: retryMin, Max: retryMax, Rand: c.Rand},
	}
}

func (l *lane) setWaits(waits bool) { l.update(func(*situation) { l.waits = waits }) }

// beside reports whether it is the lane of large files.
func (l *lane) beside() bool { return l == l.large }

// run transfers until ctx ends. A transfer that is under way then goes on until it is done or abort ends.
func (l *lane) run(ctx, abort context.Context) {
	for l.waitDue(ctx) {
		leave := l.config.Slots.take(ctx, l.bulk(), l.setWaits)
		if leave == nil {
			return
		}
		hold, err := l.attempt(ctx, abort)
		leave()
		switch {
		case hold != nil:
			l.say(hclog.Error, "held", hold)
			l.wait(ctx, holdPoll)
		case err == nil:
			l.worked()
			if ctx.Err() == nil { // with it, watching has ended
				l.prove()
			}
		case abort.Err() != nil:
			return
		case errors.Is(err, errInterrupted), errors.Is(err, errNotNow):
		case sdk.IsRootLost(err):
			l.say(hclog.Error, "held", err)
			l.wait(ctx, holdPoll)
		default:
			l.failed(ctx, err)
		}
	}
}

// errNotNow is why nothing was sent that was due.
var errNotNow = errors.New("not now")

// attempt transfers what is due when nobody else is at work. A hold is why the source must not be acted on.
func (l *lane) attempt(ctx, abort context.Context) (hold, err error) {
	release := l.acquire(ctx)
	if release == nil {
		return nil, errNotNow
	}
	defer release()
	// Now, for to wait for the transport may have taken long.
	if l.isPaused() {
		return nil, errNotNow
	}
	if hold := l.check(); hold != nil {
		return hold, nil
	}
	return nil, l.next(abort, release)
}

// bulk reports whether what is next may take long.
func (l *lane) bulk() bool { return l.beside() || l.queue.Everything() }

// next transfers what is due. It calls release when others may be at work.
func (l *lane) next(ctx context.Context, release func()) error {
	leave, err := l.enterPlace()
	if err != nil {
		return err
	}
	defer leave()
	var audit *audit
	if !l.beside() {
		audit = l.beginAudit()
	}
	batch := l.queue.Take(time.Now())
	if batch == nil {
		return nil
	}
	_, err = l.send(ctx, batch, audit, release)
	switch {
	case err == nil:
		l.plain = 0
		return nil
	case !l.mayBeOnePath(ctx, batch, err):
		l.queue.Return(time.Now(), batch)
	case len(batch.Changes()) == 1:
		// What fails alone holds up nothing else.
		path := batch.Changes()[0].Path
		l.queue.Done(time.Now(), batch, []sdk.PathError{{Path: path, Text: err.Error()}})
		l.say(hclog.Warn, "not sent, will be tried again", err, "path", batch.Changes()[0].String())
		return nil
	default:
		l.queue.Split(time.Now(), batch)
	}
	return err
}

// once transfers what is there, one try. It reports whether there was anything.
func (l *lane) once(ctx context.Context) (sent bool, err error) {
	leave := l.config.Slots.take(ctx, l.bulk(), l.setWaits)
	if leave == nil {
		return false, ctx.Err()
	}
	defer leave()
	leavePlace, err := l.enterPlace()
	if err != nil {
		return false, err
	}
	defer leavePlace()
	batch := l.queue.Take(time.Now())
	if batch == nil {
		return false, nil
	}
	failed, err := l.send(ctx, batch, nil, func() {})
	if err == nil && len(failed) > 0 {
		err = failedError(failed[0].Path, failed[0].Text, len(failed))
	}
	return true, err
}

// send transfers a batch and confirms what that has settled; with an error nothing.
func (l *lane) send(ctx context.Context, batch *queue.Batch, audit *audit, release func()) (failed []sdk.PathError, err error) {
	end := func() (touched bool) { return false }
	if l.beside() {
		if !l.isLarge(batch) {
			l.giveBack(batch)
			return nil, nil
		}
		end = l.occupy(batch)
		release()
	}
	started := time.Now()
	result, again, err := l.transfer(ctx, batch, audit)
	touched := end()
	if err != nil {
		return nil, err
	}
	l.logSent(batch, result, time.Since(started))
	if again {
		l.queue.Return(time.Now(), batch)
		return nil, nil
	}
	if failed = l.elsewhere(batch, result); touched {
		failed = nil // the main lane looks again, for it is another file now
	}
	l.queue.Done(time.Now(), batch, failed)
	return failed, nil
}

// mayBeOnePath reports whether something in the batch rather than the destination may be why it fails
// as a whole: it does again and again, or something in it has failed before.
func (l *lane) mayBeOnePath(ctx context.Context, batch *queue.Batch, err error) bool {
	if ctx.Err() != nil || errors.Is(err, errInterrupted) || sdk.IsUnavailable(err) || sdk.IsMisconfigured(err) || sdk.IsRootLost(err) {
		l.plain = 0
		return false
	}
	if l.plain++; batch.Suspect() {
		l.plain = max(l.plain, splitAfter+1)
	}
	return l.plain > splitAfter
}

// waitDue waits until a batch is due. It returns false when ctx ends first.
func (l *lane) waitDue(ctx context.Context) bool {
	for ctx.Err() == nil {
		if !l.beside() {
			l.judgeAudit()
			l.sayInSync()
		}
		timer, due := l.due()
		if due {
			return true
		}
		select {
		case <-timer:
		case <-l.queue.Changed():
		case <-l.wake:
		case <-ctx.Done():
		}
		turn.Wait(ctx)
	}
	return false
}

// due reports whether there is something to do now, and else when to ask again.
func (l *lane) due() (<-chan time.Time, bool) {
	l.mu.Lock()
	paused, deletions := l.now.paused, l.now.deletions
	l.mu.Unlock()
	if paused {
		return nil, false
	}
	if l.beside() {
		deletions = nil // that is the other's matter
	}
	if deletions != nil && time.Until(deletions.again) <= 0 {
		l.compareHeld()
	}
	at, ok := l.queue.Next()
	if deletions != nil && (!ok || deletions.again.Before(at)) {
		at, ok = deletions.again, true
	}
	if !ok {
		return nil, false
	}
	wait := time.Until(at)
	return time.After(wait), wait <= 0
}

// wait waits before the next try: for as long as that, or until someone asks for it.
func (l *lane) wait(ctx context.Context, dur time.Duration) {
	timer := time.After(dur)
	for {
		l.mu.Lock()
		hurry := l.hurry
		l.hurry = false
		news := l.news
		l.mu.Unlock()
		if hurry {
			return
		}
		over := false
		select {
		case <-timer:
			over = true
		case <-news:
		case <-ctx.Done():
			over = true
		}
		turn.Wait(ctx)
		if over {
			return
		}
	}
}

// worked notes that the destination could be reached.
func (l *lane) worked() {
	l.retry.Reset()
	var since time.Time
	l.update(func(*situation) {
		if l.failure != nil {
			since = l.failure.Since
		}
		l.failure = nil
	})
	if !since.IsZero() {
		l.config.Logger.Info("works again", "after", time.Since(since).Round(time.Second).String())
		l.lastError = ""
	}
}

// failed waits before the next try.
func (l *lane) failed(ctx context.Context, err error) {
	wait := retryMin
	if l.plain <= splitAfter {
		wait = l.retry.Next()
	}
	level := hclog.Warn
	if sdk.IsMisconfigured(err) {
		level = hclog.Error
	}
	next := time.Now().Add(wait)
	l.update(func(*situation) { l.failure = l.failure.again(err, next) })
	l.say(level, "nothing could be sent, will be tried again", err, "pending", l.queue.Stats().Pending, "retry", wait.Round(time.Millisecond).String())
	l.wait(ctx, wait)
}

// say logs a failure, but not the same one again and again.
func (l *lane) say(level hclog.Level, message string, err error, args ...any) {
	if err.Error() == l.lastError && time.Since(l.lastSaid) < quietMax {
		return
	}
	l.lastError, l.lastSaid = err.Error(), time.Now()
	l.config.Logger.Log(level, message, append([]any{"err", err}, args...)...)
}

// prove asks, when nothing is left to send, for proof that nothing is on its way from the watcher either.
func (l *lane) prove() {
	if !l.empty() {
		return
	}
	if all, reason := l.config.Watch.Complete(); !all {
		l.say(hclog.Warn, "all known changes are sent, but not everything is watched", errors.New(reason))
		return
	}
	l.askProof()
}
