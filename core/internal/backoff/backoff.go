// Package backoff spaces out attempts at something that fails.
package backoff

import (
	"math/rand/v2"
	"time"
)

// jitter spreads waits by this share to either side, so that what failed together is not tried again
// together.
const jitter = 0.2

// Backoff yields waits that double from Min to Max. The zero value does not wait. It is not safe for
// concurrent use.
type Backoff struct {
	Min, Max time.Duration
	Rand     func() float64 // in [0, 1), for the jitter; nil = math/rand/v2

	next time.Duration
}

// Next returns how long to wait before the next attempt.
func (b *Backoff) Next() time.Duration {
	b.next = min(max(b.next, b.Min), b.Max)
	wait := b.next
	b.next *= 2
	random := b.Rand
	if random == nil {
		random = rand.Float64
	}
	return time.Duration(float64(wait) * (1 - jitter + 2*jitter*random()))
}

// Reset makes the next wait Min again: the attempt succeeded.
func (b *Backoff) Reset() { b.next = 0 }
