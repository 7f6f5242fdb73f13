package poll

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk/filter"
	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// TestOracle changes a tree at random, as fast as it can, while it is polled. At the end, when a barrier
// has been reached, every path that differs from what it was when the watch was ready must have been
// reported; and what differs since the last report of it was taken, too.
func TestOracle(t *testing.T) {
	for seed := range trees.Seeds(t, 20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { oracle(t, uint64(seed)) })
	}
}

func oracle(t *testing.T, seed uint64) {
	watchertest.LeakCheck(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	root := t.TempDir() + "/root"
	watchertest.Must(t, os.Mkdir(root, 0o755))
	t.Cleanup(func() { os.RemoveAll(root + ".outside") })
	o := trees.ChurnOptions{}
	var exclude []string
	if seed%3 == 0 {
		o.Exclude, exclude = "skip", []string{"skip/"}
	}
	f, err := filter.Parse(exclude)
	watchertest.Must(t, err)
	c := trees.NewChurn(seed, root, o)
	c.LogOnFailure(t)
	c.Run(200)
	// A load that small makes for light passes in between.
	w := start(t, root, &config{Interval: minInterval, MaxLoad: []string{"100%", "10%"}[seed%2]}, exclude...)
	before, err := trees.Read(root)
	watchertest.Must(t, err)
	w.take()
	for range 4 {
		c.Run(rng.IntN(150))
		if rng.IntN(2) == 0 {
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond) // not to wait, but to let passes see rest
		}
		changes := w.after()
		after, err := trees.Read(root)
		watchertest.Must(t, err)
		for p := range union(before, after) {
			a, inA := before[p]
			b, inB := after[p]
			if inA == inB && a == b || f.Excluded(p, dirNow(after, before, p)) {
				continue
			}
			if !covered(root, p, changes) {
				t.Errorf("%q was %+v, is %+v, and is not covered by %d changes", p, a, b, len(changes))
			}
		}
		before = after
	}
	watchertest.Must(t, w.end())
}

// dirNow reports whether p is a directory, or was one if it is gone.
func dirNow(after, before trees.Tree, p string) bool {
	e, ok := after[p]
	if !ok {
		e = before[p]
	}
	return e.Mode&typeMask == typeDir
}

func union(a, b trees.Tree) map[string]bool {
	all := make(map[string]bool, len(a)+len(b))
	for p := range a {
		all[p] = true
	}
	for p := range b {
		all[p] = true
	}
	return all
}
