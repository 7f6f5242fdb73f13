package guard

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLimit(t *testing.T) {
	for _, test := range []struct {
		limit         Limit
		entries, want uint64
	}{
		{Limit{Percent: 50}, 0, 100},
		{Limit{Percent: 50}, 199, 100},
		{Limit{Percent: 50}, 1001, 500},
		{Limit{Percent: 1}, 50_000, 500},
		{Limit{Percent: 99}, math.MaxUint64, math.MaxUint64/100*99 + 14},
		{Limit{Percent: 100}, 0, Any},
		{Limit{Count: 7}, 1_000_000, 7},
		{Limit{}, 1_000_000, 0},
	} {
		if got := test.limit.of(test.entries); got != test.want {
			t.Errorf("%s of %d: %d, want %d", test.limit, test.entries, got, test.want)
		}
	}
}

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestBudget(t *testing.T) {
	b := NewBudget(Limit{Percent: 50})
	allowed := func(after time.Duration, entries, want uint64, full bool) {
		t.Helper()
		if got := b.Allowed(noon.Add(after), entries, full); got != want {
			t.Errorf("after %s: %d allowed, want %d", after, got, want)
		}
	}
	allowed(0, 1000, 500, false)
	b.Deleted(noon, 300, 0)
	allowed(0, 1000, 200, false)
	b.Deleted(noon.Add(5*time.Minute), 150, 0)
	allowed(5*time.Minute, 550, 50, true) // what was deleted does not lower the limit
	allowed(5*time.Minute, 2000, 550, true)
	allowed(10*time.Minute, 1000, 50, false)
	allowed(10*time.Minute+slotTime, 1000, 350, false)
	allowed(15*time.Minute+slotTime, 1000, 500, false)
	allowed(15*time.Minute+slotTime, 550, 275, false)
}

func TestBudgetApproved(t *testing.T) {
	b := NewBudget(Limit{Count: 10})
	b.Deleted(noon, 10, 0)
	b.Approve(Any)
	if got := b.Allowed(noon, 0, false); got != 0 {
		t.Errorf("%d allowed to a batch by an approval for a full comparison", got)
	}
	for range 2 { // the first try fails
		if got := b.Allowed(noon, 0, true); got != Any {
			t.Errorf("%d allowed after approval", got)
		}
	}
	b.Deleted(noon, 5000, 0)
	b.Compared()
	if got := b.Allowed(noon, 0, true); got != 10 {
		t.Errorf("%d allowed after an approval was used up, want 10", got)
	}
	b.Deleted(noon, 4, 0)
	b.Compared()
	if got := b.Allowed(noon, 0, true); got != 6 {
		t.Errorf("%d allowed after a comparison without approval, want 6", got)
	}
}

// An approval of a number lets no more through, and is used up all the same.
func TestBudgetApprovedCount(t *testing.T) {
	b := NewBudget(Limit{Count: 10})
	for _, test := range []struct {
		approve, used uint64
		want          []uint64 // of two comparisons
	}{{25, 4, []uint64{25, 10}}, {5, 4, []uint64{6, 10}}, {0, 4, []uint64{6, 6}}} {
		b.Deleted(noon, test.used, 0)
		b.Approve(test.approve)
		for _, want := range test.want {
			if got := b.Allowed(noon, 0, true); got != want {
				t.Errorf("approved %d: %d allowed, want %d", test.approve, got, want)
			}
			b.Compared()
		}
	}
}

// Somebody approves while a comparison is under way that was not allowed anything yet.
func TestBudgetApprovedMeanwhile(t *testing.T) {
	b := NewBudget(Limit{Count: 10})
	for _, want := range []uint64{10, Any, 10} {
		if got := b.Allowed(noon, 0, true); got != want {
			t.Errorf("%d allowed, want %d", got, want)
		}
		if want == 10 {
			b.Approve(Any)
		}
		b.Compared()
	}
}

func TestBudgetCannotOverflow(t *testing.T) {
	b := NewBudget(Limit{Count: 10})
	b.Deleted(noon, math.MaxUint64, 0)
	b.Deleted(noon.Add(slotTime), math.MaxUint64, 0)
	if got := b.Allowed(noon.Add(slotTime), 0, false); got != 0 {
		t.Errorf("%d allowed", got)
	}
}

// TestBudgetWindow: whoever keeps to Allowed never deletes more than the limit within any ten minutes, and
// after a pause of eleven all of it is allowed again.
func TestBudgetWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Uint64Range(1, 1000).Draw(t, "limit")
		b := NewBudget(Limit{Count: limit})
		type deletion struct {
			at time.Time
			n  uint64
		}
		var all []deletion
		now := noon
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(window)/4).Draw(t, "pause")))
			allowed := b.Allowed(now, rapid.Uint64().Draw(t, "entries"), rapid.Bool().Draw(t, "full"))
			n := rapid.Uint64Range(0, allowed).Draw(t, "n")
			b.Deleted(now, n, 0)
			all = append(all, deletion{now, n})
			sum := uint64(0)
			for _, d := range all {
				if now.Sub(d.at) <= window {
					sum += d.n
				}
			}
			if sum > limit {
				t.Fatalf("%d deleted within ten minutes, the limit is %d", sum, limit)
			}
			if recent := b.recent(); recent < sum {
				t.Fatalf("%d are said to be recent, and %d are", recent, sum)
			}
			if len(b.slots) > slots+1 {
				t.Fatalf("%d slots", len(b.slots))
			}
		}
		if got := b.Allowed(now.Add(window+time.Minute), 0, false); got != limit {
			t.Fatalf("%d allowed after a long pause, want %d", got, limit)
		}
	})
}

// TestBudgetClock: a clock that was set back or forth neither makes deletions count for less than their age
// says, nor for ever.
func TestBudgetClock(t *testing.T) {
	b := NewBudget(Limit{Count: 10})
	b.Deleted(noon, 10, 0)
	back := noon.Add(-100 * 24 * time.Hour)
	if got := b.Allowed(back, 0, false); got != 0 {
		t.Errorf("%d allowed when the clock was set back", got)
	}
	if got := b.Allowed(back.Add(window), 0, false); got != 0 {
		t.Errorf("%d allowed within the window", got)
	}
	if got := b.Allowed(back.Add(window+slotTime), 0, false); got != 10 {
		t.Errorf("%d allowed once the window has passed, want 10", got)
	}
}

func TestWhatComesAndGoesCountsForNothing(t *testing.T) {
	b := NewBudget(Limit{Count: 100})
	for i := range 1000 { // temporary files
		now := noon.Add(time.Duration(i) * 100 * time.Millisecond)
		b.Deleted(now, 0, 1)
		b.Deleted(now, 1, 0)
	}
	if got := b.Allowed(noon.Add(100*time.Second), 1000, false); got != 100 {
		t.Errorf("%d allowed after 1000 temporary files, want 100", got)
	}
	b.Deleted(noon.Add(100*time.Second), 60, 50)
	if got := b.Allowed(noon.Add(100*time.Second), 1000, false); got != 90 {
		t.Errorf("%d allowed after 10 went for good, want 90", got)
	}
}

// Another limit does not let anything be deleted anew, and an approval was for the former one.
func TestBudgetWithAnotherLimit(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := NewBudget(Limit{Count: 10})
	b.Deleted(now, 7, 0)
	b.Approve(Any)
	next := b.With(Limit{Count: 12})
	for _, test := range []struct {
		after time.Duration
		want  uint64
	}{{time.Second, 5}, {window - time.Second, 5}, {window + slotTime, 12}} {
		if got := next.Allowed(now.Add(test.after), 100, true); got != test.want {
			t.Errorf("after %v: %d may be deleted, want %d", test.after, got, test.want)
		}
	}
}
