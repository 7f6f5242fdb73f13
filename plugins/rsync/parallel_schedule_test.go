package rsync

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// simulated is what came of parts that a schedule dealt out, in simulated time.
type simulated struct {
	runs    int
	end     time.Duration
	idle    time.Duration // from when the first of the runs had nothing more to do to the end
	longest time.Duration // run
}

// simulate deals out parts that take so long, to runs that take overhead more.
func simulate(t *testing.T, parts []time.Duration, parallel int, overhead time.Duration) simulated {
	t.Helper()
	type running struct {
		n           int
		began, ends time.Duration
	}
	var res simulated
	s := newSchedule(len(parts), parallel)
	left := parts
	begin := func(now time.Duration) running {
		n := s.next(len(left))
		if n < 1 || n > min(len(left), maxParts) {
			t.Fatalf("%d parts of %d", n, len(left))
		}
		r := running{n: n, began: now, ends: now + overhead}
		for _, part := range left[:n] {
			r.ends += part
		}
		left = left[n:]
		res.runs++
		res.longest = max(res.longest, r.ends-r.began)
		return r
	}
	var now []running
	for len(now) < parallel && len(left) > 0 {
		now = append(now, begin(0))
	}
	first := time.Duration(math.MaxInt64)
	for len(now) > 0 {
		slices.SortFunc(now, func(a, b running) int { return int(a.ends - b.ends) })
		r := now[0]
		now = now[1:]
		s.learn(r.n, r.ends-r.began)
		if len(left) > 0 {
			now = append(now, begin(r.ends))
			continue
		}
		first = min(first, r.ends)
		res.end = r.ends
	}
	res.idle = res.end - first
	return res
}

func equalParts(n int, each time.Duration) []time.Duration {
	return slices.Repeat([]time.Duration{each}, n)
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	// 100 files take 5 ms, with four at a time on two cores.
	const part = 5 * time.Millisecond
	for _, tt := range []struct {
		name     string
		parts    []time.Duration
		overhead time.Duration
		runs     int
		worse    float64 // than if all ran without overhead to the same end
		longest  time.Duration
	}{
		{"near", equalParts(2000, part), 50 * time.Millisecond, 16, 1.2, maxRun},
		{"far", equalParts(2000, part), 800 * time.Millisecond, 16, 2.4, maxRun},
		{"far, large", equalParts(100_000, part), 800 * time.Millisecond, 50, 1.1, maxRun},
		{"few", equalParts(256, 100*part), 50 * time.Millisecond, 50, 1.1, maxRun},
		{"slow", equalParts(256, time.Minute), 800 * time.Millisecond, 256, 1.1, 9 * time.Minute},
		{"fewer than runs", equalParts(2, part), 50 * time.Millisecond, 2, 23, maxRun},
		{"one", equalParts(1, time.Hour), 50 * time.Millisecond, 1, 4.1, 2 * time.Hour},
	} {
		const parallel = 4
		res := simulate(t, tt.parts, parallel, tt.overhead)
		var work time.Duration
		for _, part := range tt.parts {
			work += part
		}
		worse := float64(res.end) / (float64(work) / parallel)
		if res.runs > tt.runs || worse > tt.worse || res.longest > tt.longest {
			t.Errorf("%s: %+v, %.2f times as long as without overhead", tt.name, res, worse)
		}
	}
}

// With uneven parts, and one that takes longer than all others by far, the last run ends not long after the others, by
// what that one takes and some seconds.
func TestScheduleUneven(t *testing.T) {
	t.Parallel()
	for seed := range uint64(tree.Seeds(t, 200)) {
		rng := rand.New(rand.NewPCG(seed, 7))
		parallel := 2 + rng.IntN(maxParallel-1)
		overhead := time.Duration(rng.Int64N(int64(time.Second)))
		parts := make([]time.Duration, partsEach*parallel+rng.IntN(5000))
		for i := range parts {
			parts[i] = time.Duration(rng.Int64N(int64(20 * time.Millisecond)))
		}
		large := time.Duration(rng.Int64N(int64(30 * time.Second)))
		parts[rng.IntN(len(parts))] += large
		res := simulate(t, parts, parallel, overhead)
		if limit := overhead + large + 2*minRun/minShare; res.idle > limit {
			t.Errorf("seed %d: %d at a time, overhead %v: %+v, wanted %v", seed, parallel, overhead, res, limit)
		}
	}
}
