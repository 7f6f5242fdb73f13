package backoff

import (
	"testing"
	"time"
)

func TestBackoffDoublesWithinBounds(t *testing.T) {
	b := Backoff{Min: time.Second, Max: time.Minute}
	for round := range 2 {
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			want *= time.Second
			got := b.Next()
			if got < want*8/10 || got > want*12/10 {
				t.Errorf("round %d, wait %d: %v, want %v ± 20%%", round, i, got, want)
			}
		}
		b.Reset()
	}
}
