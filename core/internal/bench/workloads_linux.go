package main

import "time"

// scale says how much is measured.
type scale struct {
	rounds, changes int // of single changes, in each round
	small, large    shape
	flat            shape
	burst           int // files
	rename          int // bytes
	travel          int // bytes
	calm            int // changes while nothing travels
	first           shape
	idle            []int // directories
	idleTime        time.Duration
}

var (
	full = scale{
		rounds: 4, changes: 20,
		small: shape{10, 1, 100}, large: shape{100, 100, 100}, flat: shape{1, 1, 100_000},
		burst: 5000, rename: 1 << 30, travel: 2 << 30, calm: 30, first: shape{100, 20, 100},
		idle: []int{1000, 100_000}, idleTime: time.Minute,
	}
	quick = scale{
		rounds: 1, changes: 3,
		small: shape{2, 1, 5}, large: shape{3, 3, 5}, flat: shape{1, 1, 50},
		burst: 30, rename: 1 << 20, travel: 1 << 20, calm: 3, first: shape{2, 2, 5},
		idle: []int{5, 20}, idleTime: 100 * time.Millisecond,
	}
)

// workload is one thing that can be measured.
type workload struct {
	name string
	run  func(*bench)
}

// workloads are all of them, in the order of the page.
var workloads = []workload{
	{"change", (*bench).changeSmall},
	{"flat", (*bench).changeFlat},
	{"large", (*bench).changeLarge},
	{"line", (*bench).changeOverLine},
	{"directory", (*bench).newDirectory},
	{"burst", (*bench).burstOfFiles},
	{"checkout", (*bench).checkout},
	{"rename", (*bench).renameDirectory},
	{"busy", (*bench).changesWhileBusy},
	{"first", (*bench).firstSync},
	{"idle", (*bench).idling},
}

// inTurns runs f for each contender that takes part, and so on again, in turns. None is always the first.
func (b *bench) inTurns(rounds int, contenders []*contender, f func(c *contender, round int)) {
	for round := range rounds {
		for i := range contenders {
			c := contenders[(i+round)%len(contenders)]
			if !b.wanted(c) || c.once && round > 0 {
				continue
			}
			b.tell("  round %d of %d: %s", round+1, rounds, c.name)
			f(c, round)
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
