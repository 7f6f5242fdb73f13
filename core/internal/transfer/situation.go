package transfer

import (
	"cmp"
	"fmt"
	"time"

	"github.com/filewatch/filewatch/core/internal/state"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
)

// quietMax is how long the same failure is not repeated in the log.
const quietMax = 10 * time.Minute

// situation is what a Destination is doing, for itself and for whoever asks.
type situation struct {
	paused    bool
	held      bool       // because of the source, when last looked
	deletions *deletions // held
	busy      *busy      // what the large lane is at work on
	audit     *audit     // what has been mended and not been judged
	judging   *audit     // what is being judged
	judged    uint64     // audits so far
	missed    uint64     // changes that comparisons found and the watcher had not told

	began    uint64    // transfers so far; each makes proofs void that were asked for before it
	deferred deferred  // a proof that has come, but what has been mended is to be judged before
	inSync   bool      // a proof has come, and since then nothing was added and no later one failed to come
	syncedAt time.Time // everything that was changed before is confirmed; zero = not known
	said     bool      // "in sync" was logged since the last transfer

	lastConfirmed time.Time
	lastFull      time.Time
	batches       uint64
	sent          sdk.Result // sums
}

// away is why a destination as a whole is not served.
type away struct {
	Text  string
	Since time.Time
	Next  time.Time
}

// again returns the failure after one more.
func (a *away) again(err error, next time.Time) *away {
	since := time.Now()
	if a != nil {
		since = a.Since
	}
	return &away{Text: err.Error(), Since: since, Next: next}
}

// away returns why one of the lanes gets nothing there, nil if nothing is wrong. d.mu is held.
func (d *Destination) away() *away {
	if d.main.failure != nil {
		return d.main.failure
	}
	return d.large.failure
}

// sending returns what is under way, in both lanes together, nil if nothing is. How much is done is told of what began
// first: small changes come and go while a large file travels. d.mu is held.
func (d *Destination) sending() *sending {
	a, b := d.main.progress, d.large.progress
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	both := *a
	if b.Since.Before(both.Since) {
		both.Since, both.Portion = b.Since, b.Portion
	}
	both.Files += b.Files
	both.Bytes += b.Bytes
	return &both
}

// sending is a transfer under way.
type sending struct {
	status.Progress
	full bool
}

// recall restores what is remembered of an earlier run of the daemon.
func (d *Destination) recall() {
	remembered := d.config.Record.Get()
	r := remembered.Destination(d.String())
	d.now.lastFull, d.now.lastConfirmed = r.FullSync, r.Confirmed
	d.now.paused = remembered.Paused
	if r.Hold != nil {
		d.now.deletions = &deletions{hold: r.Hold}
	}
}

// remember keeps the same for the next run, at once when it must not be lost.
func (d *Destination) remember(atOnce bool) {
	d.mu.Lock()
	s := d.now
	d.mu.Unlock()
	change := func(remembered *state.Sync) {
		r := remembered.Destination(d.String())
		r.FullSync, r.Confirmed, r.Hold = s.lastFull, s.lastConfirmed, nil
		if s.deletions != nil {
			r.Hold = s.deletions.hold
		}
	}
	if atOnce {
		d.config.Record.Update(change)
	} else {
		d.config.Record.Note(change)
	}
}

// update changes what the destination is doing and wakes everyone who waits for that.
func (d *Destination) update(change func(*situation)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.now)
	d.changed()
}

// changed wakes everyone who waits for news. d.mu is held.
func (d *Destination) changed() {
	close(d.news)
	d.news = make(chan struct{})
	for _, l := range d.lanes() {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// failedError is the error of n failed paths, of which one is named.
func failedError(path, text string, n int) error {
	return fmt.Errorf("%d paths could not be sent, the first is %s: %s", n, sdk.Change{Path: path}, text)
}

// askProof asks for a proof.
func (d *Destination) askProof() {
	asked := time.Now()
	d.mu.Lock()
	began := d.now.began
	d.mu.Unlock()
	d.config.Watch.Prove(func() { d.proved(began, asked) })
}

// deferred is a proof that waits.
type deferred struct {
	began uint64
	asked time.Time
}

// proved takes the proof that every change before asked has reached Add. It counts if no transfer has begun
// since.
func (d *Destination) proved(began uint64, asked time.Time) {
	all, _ := d.config.Watch.Complete()
	known := len(d.heldMounts()) == 0
	d.mu.Lock()
	defer d.mu.Unlock()
	if began != d.now.began || !all || !known || d.now.held || d.now.deletions != nil || !d.empty() {
		return
	}
	if a := d.now.audit; d.now.judging != nil || a != nil && a.proved {
		d.now.deferred = deferred{began, asked}
		return
	}
	d.now.inSync, d.now.syncedAt = true, asked
	d.changed()
}

// sayInSync logs it once when the proof has come.
func (d *Destination) sayInSync() {
	d.mu.Lock()
	say := d.now.inSync && !d.now.said
	d.now.said = d.now.said || say
	d.mu.Unlock()
	if say {
		d.config.Logger.Info("in sync")
	}
}
