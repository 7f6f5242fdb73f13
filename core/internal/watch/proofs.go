package watch

import (
	"slices"

	"github.com/filewatch/filewatch/sdk"
)

const (
	// maxBarriers bounds the barriers that a watcher has not taken. There is one at a time, and one more
	// each time when what is watched changes.
	maxBarriers = 256
	// maxProofs bounds who may wait for a proof.
	maxProofs = 4096
)

// proofs are those who wait until everything up to now was seen. One question is asked of the watchers at
// a time, for all who have been waiting for it then.
type proofs struct {
	waiting []func()
	asked   []func() // whom the question is for
	round   *round   // nil when there is none
}

// round is one question to all watchers at work.
type round struct{ open int } // answers that are missing

// Prove calls reached, which must not block, once every change that was made before the call has been
// given to Config.Change. It does not block. As long as something is neither watched nor polled, or a
// watcher does not answer, reached waits; it is never called when the watcher cannot prove anything.
func (r *Root) Prove(reached func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.proofs.waiting) < maxProofs {
		r.proofs.waiting = append(r.proofs.waiting, reached)
		r.proofs.ask(r.legs())
	}
}

// legs returns the function that asks all watchers at work, or nil while something is not seen.
func (r *Root) legs() func(*round) {
	if paths, _ := r.unseen(); len(paths) > 0 {
		return nil
	}
	var to []chan sdk.Barrier
	if r.ready {
		to = append(to, r.barriers)
	}
	if r.polled != nil && len(r.unwatched) > 0 {
		to = append(to, r.polled.barriers)
	}
	return func(n *round) {
		n.open = len(to)
		for _, barriers := range to {
			select {
			case barriers <- sdk.NewBarrier(func() { r.reached(n) }):
			default: // it takes none
			}
		}
	}
}

// ask asks if somebody waits and no question is open. legs is nil when not everything is seen.
func (p *proofs) ask(legs func(*round)) {
	if p.round != nil || len(p.waiting) == 0 || legs == nil {
		return
	}
	p.asked, p.waiting = p.waiting, nil
	p.round = &round{}
	legs(p.round)
}

// again asks anew, for what is watched, or by whom, has changed. A later answer proves all the more.
func (p *proofs) again(legs func(*round)) {
	if p.round != nil {
		p.waiting = slices.Concat(p.asked, p.waiting)
		p.asked, p.round = nil, nil
	}
	p.ask(legs)
}

// reached takes one answer.
func (r *Root) reached(n *round) {
	r.mu.Lock()
	n.open--
	if r.proofs.round != n || n.open > 0 {
		r.mu.Unlock()
		return
	}
	proved := r.proofs.asked
	r.proofs.asked, r.proofs.round = nil, nil
	r.proofs.ask(r.legs())
	r.mu.Unlock()
	for _, f := range proved {
		f()
	}
}
