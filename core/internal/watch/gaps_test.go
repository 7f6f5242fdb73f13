package watch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/sdk"
)

// world is a tree of a few directories in which things change at random, with watchers that see what their
// contract says, and not a bit more.
type world struct {
	mu      sync.Mutex
	random  *rand.Rand
	unseen  map[string]int // by path: the last change of which the root has not told
	count   int            // of changes
	runs    []*worldRun    // of all watchers, those that go on
	faulty  bool           // watchers fail now and then
	proofs  int            // that came
	mistake string
}

var worldPaths = []string{"a", "a/x", "b", "b/y", "c", "d"}

// worldRun is one run of a watcher.
type worldRun struct {
	world *world
	sdk.Reporter
	only    []string
	polls   bool
	ready   bool
	blind   []string // what it does not see, whether or not it has said so
	pending []string // seen, not reported yet
}

// sees reports whether r sees a change of path.
func (r *worldRun) sees(path string) bool {
	return r.ready && (r.only == nil || covers(r.only, path)) && !covers(r.blind, path)
}

// change changes a path.
func (w *world) change() {
	w.mu.Lock()
	defer w.mu.Unlock()
	path := worldPaths[w.random.IntN(len(worldPaths))]
	w.count++
	w.unseen[path] = w.count
	for _, r := range w.runs {
		if r.sees(path) {
			r.pending = append(r.pending, path)
		}
	}
}

// told is what the root tells: whoever acts on it looks at the path afterwards.
func (w *world) told(c sdk.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.unseen {
		if c.Covers(p) {
			delete(w.unseen, p)
		}
	}
}

// pause returns a time up to most.
func (w *world) pause(most time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.random.Int64N(int64(most)))
}

func (w *world) pick(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

func (w *world) chance(one int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faulty && w.random.IntN(one) == 0
}

// report reports what was seen up to now.
func (r *worldRun) report() {
	r.world.mu.Lock()
	pending := r.pending
	r.pending = nil
	r.world.mu.Unlock()
	for _, p := range pending {
		r.Change(sdk.Change{Path: p, Ops: sdk.OpWrite})
	}
}

// goBlind makes other subtrees ones that r does not see. It says so later; but those that it sees from now
// on it may well have seen for a while.
func (r *worldRun) goBlind() []string {
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	var blind []string
	if r.world.faulty {
		blind = [][]string{nil, nil, {"a"}, {"a", "b"}, {"a", "c"}, {"a", "b", "c"}, {"a/x", "b"}, {"c"}, {"b", "c"}, {""}}[r.world.random.IntN(10)]
	}
	r.blind = blind
	return blind
}

// watcher returns a watcher of the world.
func (w *world) watcher(polls bool) watchFunc {
	return func(ctx context.Context, req sdk.WatchRequest, rep sdk.Reporter) error {
		r := &worldRun{world: w, Reporter: rep, only: req.Only, polls: polls}
		sleep := func(most time.Duration) bool {
			select {
			case <-time.After(w.pause(most)):
			case <-ctx.Done():
			}
			return ctx.Err() == nil
		}
		if !sleep([]time.Duration{3 * time.Second, 20 * time.Millisecond}[w.pick(2)]) {
			return nil
		}
		if w.chance(5) {
			return errors.New("it does not start")
		}
		w.mu.Lock()
		w.runs = append(w.runs, r)
		r.ready = true // what changed before is the state that it starts from
		w.mu.Unlock()
		defer func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.runs = slices.DeleteFunc(w.runs, func(o *worldRun) bool { return o == r })
		}()
		rep.Ready()
		rep.Unwatched(r.goBlind(), "limit")
		every := []time.Duration{50 * time.Millisecond, 2 * time.Second, 5 * time.Second}[w.pick(3)]
		for {
			select {
			case <-ctx.Done():
				return nil
			case b := <-req.Barriers:
				if w.chance(20) {
					continue // it has no room for it
				}
				if !sleep(every) {
					return nil
				}
				r.report()
				b.Reached()
			case <-time.After(w.pause(every) + time.Millisecond):
				if w.chance(200) {
					return errors.New("it died") // with all that it has seen
				}
				r.report()
				if w.chance(20) || len(r.blind) > 0 && !w.faulty {
					blind := r.goBlind()
					if polls && !sleep(time.Second) {
						return nil
					}
					rep.Unwatched(blind, "limit")
				}
			}
		}
	}
}

// TestNothingGoesUnseen: whatever becomes of the watchers, and when, each change is told of at last, and by
// the time that it is proved.
func TestNothingGoesUnseen(t *testing.T) {
	total := 0
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { total += unseen(t, seed) })
		})
	}
	if total < 1000 {
		t.Errorf("only %d proofs came", total)
	}
}

func unseen(t *testing.T, seed uint64) (proofs int) {
	w := &world{random: rand.New(rand.NewPCG(seed, 0)), unseen: map[string]int{}, faulty: true}
	r := New(Config{
		Watcher: w.watcher(false), Fallback: w.watcher(true),
		Choice: func() (string, string) { return "inotify", "" },
		Change: w.told, Logger: hclog.NewNullLogger(),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	prove := func() {
		w.mu.Lock()
		asked := w.count
		w.mu.Unlock()
		r.Prove(func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.proofs++
			for p, n := range w.unseen {
				if n <= asked {
					w.mistake = fmt.Sprintf("proved up to change %d, but change %d of %q was not told", asked, n, p)
				}
			}
		})
	}
	for range 400 {
		w.change()
		if w.pause(4) == 0 {
			prove()
		}
		time.Sleep(w.pause(3 * time.Second))
	}
	w.mu.Lock()
	w.faulty = false
	w.mu.Unlock()
	time.Sleep(3 * time.Minute)
	w.mu.Lock()
	before := w.proofs
	w.mu.Unlock()
	prove()
	time.Sleep(time.Minute)
	complete, reason := r.Complete()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.mistake != "":
		t.Error(w.mistake)
	case len(w.unseen) > 0:
		t.Errorf("never told: %v", w.unseen)
	case !complete:
		t.Errorf("not complete in the end: %s", reason)
	case w.proofs == before:
		t.Error("no proof in the end")
	}
	return w.proofs
}
