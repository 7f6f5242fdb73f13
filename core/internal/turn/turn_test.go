package turn

import (
	"context"
	"slices"
	"testing"
)

// Each goroutine waits for its own turn; without an order there is none to wait for.
func TestWait(t *testing.T) {
	Wait(As(t.Context(), "nobody"))
	var waited []string
	ctx := Order(t.Context(), "a", func(name string) func() {
		return func() { waited = append(waited, name) }
	})
	Wait(ctx)
	below, cancel := context.WithCancel(As(As(ctx, "b"), "c"))
	cancel()
	Wait(below)
	Wait(ctx)
	if want := []string{"a", "a b c", "a"}; !slices.Equal(waited, want) {
		t.Errorf("%q, want %q", waited, want)
	}
}
