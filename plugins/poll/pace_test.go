package poll

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
)

// TestLoad runs watches in virtual time whose passes take as long as they are told to.
func TestLoad(t *testing.T) {
	for _, tc := range []struct {
		name        string
		interval    time.Duration
		load        float64
		full, light time.Duration
		// the longest time between two passes, and between two full ones
		most, mostFull time.Duration
	}{
		{"small tree", 2 * time.Second, 0.1, 10 * time.Millisecond, time.Millisecond, 2 * time.Second, 2 * time.Second},
		{"just fits", 2 * time.Second, 0.1, 200 * time.Millisecond, time.Millisecond, 2 * time.Second, 2 * time.Second},
		{"large tree", 2 * time.Second, 0.1, time.Second, 50 * time.Millisecond, 2 * time.Second, 20 * time.Second},
		{"huge tree", 2 * time.Second, 0.1, 10 * time.Second, time.Second, 20 * time.Second, 200 * time.Second},
		{"light passes gain nothing", 2 * time.Second, 0.1, time.Second, time.Second, 20 * time.Second, 21 * time.Second},
		{"little load", 10 * time.Second, 0.001, 100 * time.Millisecond, time.Millisecond, 10 * time.Second, 200 * time.Second},
		{"all of a core", time.Second, 1, 10 * time.Second, 100 * time.Millisecond, 10 * time.Second, 20 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const run = time.Hour
				ctx, cancel := context.WithTimeout(t.Context(), run)
				defer cancel()
				var (
					spent          time.Duration
					last, lastFull time.Time
					gap, gapFull   time.Duration
				)
				w := watch{
					reporter: newRecorder(),
					progress: func() uint64 { return 0 },
					pace:     pace{interval: tc.interval, load: tc.load},
					pass: func(ctx context.Context, light bool) (outcome, error) {
						now := time.Now()
						if !last.IsZero() {
							gap = max(gap, now.Sub(last))
						}
						last = now
						cost := tc.light
						if !light {
							if !lastFull.IsZero() {
								gapFull = max(gapFull, now.Sub(lastFull))
							}
							lastFull = now
							cost = tc.full
						}
						spent += cost
						time.Sleep(cost)
						return outcome{cost: cost, complete: true}, nil
					},
				}
				watchertest.Must(t, w.run(ctx))
				// The first pass is not paid for yet when the watch begins.
				if most := time.Duration(float64(run)*tc.load) + tc.full; spent > most {
					t.Errorf("spent %v of %v, more than %v", spent, run, most)
				}
				if gap > tc.most+tc.full || gapFull > tc.mostFull+tc.light {
					t.Errorf("%v between passes, %v between full ones; want %v, %v", gap, gapFull, tc.most, tc.mostFull)
				}
			})
		})
	}
}

// TestCostGrows: when a pass costs more than the ones before, the next ones wait for it.
func TestCostGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pace{interval: time.Second, load: 0.1}
		p.done(false, time.Now(), time.Millisecond)
		if at, light := p.next(); light || time.Until(at) != time.Second {
			t.Errorf("got %v, light %v", time.Until(at), light)
		}
		p.done(false, time.Now(), time.Minute)
		if at, light := p.next(); !light || time.Until(at) != time.Second {
			t.Errorf("got %v, light %v", time.Until(at), light)
		}
		p.done(true, time.Now(), time.Minute)
		if at, light := p.next(); light || time.Until(at) != 20*time.Minute {
			t.Errorf("got %v, light %v", time.Until(at), light)
		}
	})
}

// TestBarriers: a barrier is reached by a full pass that began after it was received, at once; many
// share one.
func TestBarriers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		const takes = 10 * time.Second
		var full, light atomic.Int32
		barriers := make(chan sdk.Barrier)
		var complete atomic.Bool
		complete.Store(true)
		w := watch{
			reporter: newRecorder(),
			progress: func() uint64 { return 0 },
			pace:     pace{interval: time.Hour, load: 1},
			barriers: barriers,
			pass: func(ctx context.Context, l bool) (outcome, error) {
				if l {
					light.Add(1)
				} else {
					full.Add(1)
				}
				time.Sleep(takes)
				return outcome{complete: complete.Load()}, nil
			},
		}
		ended := make(chan error)
		go func() { ended <- w.run(ctx) }()
		time.Sleep(takes / 2) // the first pass is running

		start := time.Now()
		var reached []time.Duration
		send := func() { barriers <- sdk.NewBarrier(func() { reached = append(reached, time.Since(start)) }) }
		send() // nobody waits for the running pass
		if time.Since(start) != 0 {
			t.Error("a running pass holds barriers up")
		}
		time.Sleep(takes)
		send()
		send()
		time.Sleep(100 * time.Second)
		want := []time.Duration{takes/2 + takes, takes/2 + 2*takes, takes/2 + 2*takes}
		synctest.Wait()
		if full.Load() != 3 || light.Load() != 0 || len(reached) != 3 || reached[0] != want[0] || reached[1] != want[1] || reached[2] != want[2] {
			t.Errorf("%d full and %d light passes, reached after %v, want %v", full.Load(), light.Load(), reached, want)
		}

		// A root that cannot be read proves nothing.
		complete.Store(false)
		send()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if len(reached) != 3 || full.Load() > 6 {
			t.Errorf("reached %v after %d passes over what cannot be read", reached, full.Load())
		}
		complete.Store(true)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if len(reached) != 4 {
			t.Error("not reached when the root can be read again")
		}
		cancel()
		watchertest.Must(t, <-ended)
	})
}

// TestLightProvesNothing: a barrier that waits for the root is reached by a full pass only.
func TestLightProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		barriers := make(chan sdk.Barrier)
		var broken, reached, fullSince atomic.Bool
		w := watch{
			reporter: newRecorder(),
			progress: func() uint64 { return 0 },
			pace:     pace{interval: time.Second, load: 0.1},
			barriers: barriers,
			pass: func(ctx context.Context, light bool) (outcome, error) {
				if light {
					time.Sleep(time.Millisecond)
					return outcome{cost: time.Millisecond, complete: !broken.Load()}, nil
				}
				fullSince.Store(!broken.Load())
				time.Sleep(10 * time.Second)
				return outcome{cost: 10 * time.Second, complete: !broken.Load()}, nil
			},
		}
		ended := make(chan error)
		go func() { ended <- w.run(ctx) }()
		time.Sleep(time.Minute)
		broken.Store(true)
		time.Sleep(time.Minute)
		fullSince.Store(false)
		barriers <- sdk.NewBarrier(func() {
			if !fullSince.Load() {
				t.Error("a light pass has proved something")
			}
			reached.Store(true)
		})
		time.Sleep(time.Minute)
		broken.Store(false)
		time.Sleep(10 * time.Minute)
		if !reached.Load() {
			t.Error("not reached")
		}
		cancel()
		watchertest.Must(t, <-ended)
	})
}

// TestStall: a file system that holds a call for long is not watched meanwhile.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var takes atomic.Int64
		r := newRecorder()
		w := watch{
			reporter: r,
			progress: func() uint64 { return 0 },
			pace:     pace{interval: time.Second, load: 1},
			pass: func(context.Context, bool) (outcome, error) {
				time.Sleep(time.Duration(takes.Load()))
				return outcome{complete: true}, nil
			},
		}
		ended := make(chan error)
		go func() { ended <- w.run(ctx) }()
		time.Sleep(time.Minute)
		if paths, _ := r.unwatched(); len(paths) != 0 {
			t.Errorf("unwatched %q", paths)
		}
		takes.Store(int64(3 * stall))
		time.Sleep(2 * stall)
		if paths, reason := r.unwatched(); len(paths) != 1 || paths[0] != "" || reason == "" {
			t.Errorf("unwatched %q %q", paths, reason)
		}
		takes.Store(0)
		time.Sleep(2 * stall)
		if paths, _ := r.unwatched(); len(paths) != 0 {
			t.Errorf("unwatched %q afterwards", paths)
		}
		cancel()
		watchertest.Must(t, <-ended)
	})
}
