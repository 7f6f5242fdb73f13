package watch

import (
	"slices"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

const (
	// maxBarriers bounds the barriers that a watcher has not taken. There is one at a time, and one more
	// each time when what is watched changes.
	maxBarriers = 256
	// maxProofs bounds who may wait for a proof.
	maxProofs = 4096
)

// askAgain is when a watcher that has not answered is asked once more: it may have had no room for the
// question, as without a file descriptor.
const askAgain = 10 * time.Second

// proofs are those who wait until everything up to now was seen. One question is asked of the watchers at
// a time, for all who have been waiting for it then.
type proofs struct {
	waiting []func()
	asked   []func() // whom the question is for
	round   *round   // nil when there is none
}

// round is one question to all watchers at work.
type round struct {
	legs  []*leg
	again *time.Timer
}

// leg is one watcher, which has answered or not.
type leg struct {
	barriers chan sdk.Barrier
	reached  bool
}

// Prove calls reached, which must not block, once every change that was made before the call has been
// given to Config.Change. It does not block. As long as something is neither watched nor polled, or a
// watcher does not answer, reached waits; it is never called when the watcher cannot prove anything.
func (r *Root) Prove(reached func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.proofs.waiting) < maxProofs {
		r.proofs.waiting = append(r.proofs.waiting, reached)
		r.ask()
	}
}

// ask asks all watchers at work if somebody waits, no question is open, and everything is seen.
func (r *Root) ask() {
	p := &r.proofs
	if p.round != nil || len(p.waiting) == 0 {
		return
	}
	if paths, _ := r.unseen(); len(paths) > 0 {
		return
	}
	p.asked, p.waiting = p.waiting, nil
	n := &round{}
	if r.ready && !covers(r.unwatched, "") {
		n.legs = append(n.legs, &leg{barriers: r.barriers})
	}
	if r.polled != nil && len(r.unwatched) > 0 {
		n.legs = append(n.legs, &leg{barriers: r.polled.barriers})
	}
	n.again = time.AfterFunc(askAgain, func() { r.remind(n) })
	p.round = n
	r.send(n)
}

// send sends the question to those that have not answered. A later answer proves all the more.
func (r *Root) send(n *round) {
	for _, l := range n.legs {
		if l.reached {
			continue
		}
		select {
		case l.barriers <- sdk.NewBarrier(func() { r.reached(n, l) }):
		default: // it takes none
		}
	}
}

// remind sends the question again if it is open.
func (r *Root) remind(n *round) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proofs.round == n {
		r.send(n)
		n.again.Reset(askAgain)
	}
}

// askAnew begins again, for what is watched, or by whom, has changed.
func (r *Root) askAnew() {
	p := &r.proofs
	if p.round != nil {
		p.round.again.Stop()
		p.waiting = slices.Concat(p.asked, p.waiting)
		p.asked, p.round = nil, nil
	}
	r.ask()
}

// giveUp forgets all who wait: nobody watches any more.
func (r *Root) giveUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ready, r.unwatched, r.reason, r.barriers, r.polled = false, []string{""}, "the watcher has ended", nil, nil
	if r.proofs.round != nil {
		r.proofs.round.again.Stop()
	}
	r.proofs = proofs{}
}

// reached takes one answer.
func (r *Root) reached(n *round, l *leg) {
	r.mu.Lock()
	l.reached = true
	if r.proofs.round != n || slices.ContainsFunc(n.legs, func(l *leg) bool { return !l.reached }) {
		r.mu.Unlock()
		return
	}
	n.again.Stop()
	proved := r.proofs.asked
	r.proofs.asked, r.proofs.round = nil, nil
	r.ask()
	r.mu.Unlock()
	for _, f := range proved {
		f()
	}
}
