package core

import (
	"flag"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// The simulation runs an Engine, with everything in core/internal but processes and files, in virtual time.
// What is around it is false: the source and the destinations are trees in memory (simSource, simDest),
// the plugins (simWatcher, simTransport) do what the protocol allows at its worst, the state is what was
// saved last. One seed decides what happens: the source changes, the watchers are late, wrong about the
// order, blind or dead, transfers fail half done, destinations are away or full, the source is unmounted,
// replaced or emptied, operators pause and approve, the daemon is killed and started again. Then faults stop.
//
// All along these must hold: what a flush, a report or the log says is true of the trees, at the very
// moment; nothing is deleted, or sent, while the source is not what it was, nor more than max_delete, nor
// what is excluded; no two transfers to one destination overlap. In the end everything is in step, and
// then next to nothing is done.

var simSeed = flag.Uint64("seed", 0, "run this seed of the simulation alone, and print what happens")

// Seeds that once broke a promise, far beyond those that are always run.
var simSeeds = []uint64{
	11391, // what a transfer sent that failed was gone before the watcher looked
	11708, // an approval did not reach what was in the way of a large file
	32201, // the same of a transfer that began before the watcher came to look
	21502, // what came between two looks and went had come again when it was judged
	21616, // what a mount had hidden was gone before the watcher looked
}

func TestSimulation(t *testing.T) {
	debug.SetTraceback("all") // a panic shows the seed, an argument of simulate
	root := t.TempDir()
	if *simSeed > 0 {
		violation, trace := simulate(t, root, *simSeed, simBug{}, true)
		t.Logf("%s\n%s", trace, violation)
		if violation != "" {
			t.Fail()
		}
		return
	}
	frugal(t)
	const workers = 2
	seeds := tree.Seeds(t, 900)
	var next, failed atomic.Int64
	for range workers {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for i := int(next.Add(1)) - 1; i < len(simSeeds)+seeds && failed.Load() < 5; i = int(next.Add(1)) - 1 {
				seed := uint64(i - len(simSeeds) + 1)
				if i < len(simSeeds) {
					seed = simSeeds[i]
				}
				if violation, _ := simulate(t, root, seed, simBug{}, false); violation != "" {
					failed.Add(1)
					t.Errorf("seed %d: %s\nwhat led to it: go test ./core -run 'TestSimulation$' -args -seed %d", seed, violation, seed)
				}
			}
		})
	}
}

// frugal has less time spent on collecting garbage: a world is small, and soon gone.
func frugal(t *testing.T) {
	before := debug.SetGCPercent(800)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}

// Same seed, same story, line by line: otherwise a failure could not be looked into. No two goroutines act at one
// virtual moment, see simWorld.turns. The race detector makes the order of all else random.
func TestSimulationRepeats(t *testing.T) {
	frugal(t)
	root := t.TempDir()
	for seed := range tree.Seeds(t, 60) {
		_, a := simulate(t, root, uint64(seed), simBug{}, true)
		_, b := simulate(t, root, uint64(seed), simBug{}, true)
		if a != b {
			t.Errorf("seed %d is not the same twice:\n%s", seed, cmp.Diff(strings.Split(a, "\n"), strings.Split(b, "\n")))
		}
	}
}
