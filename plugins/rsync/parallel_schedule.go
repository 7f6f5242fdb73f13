package rsync

import "time"

// schedule says how many parts of a split comparison a run takes: so many that to start it is a small part of what it
// costs, and towards the end fewer, so that all end at about the same time, however uneven the parts are.
type schedule struct {
	runs int // at the same time
	size int // parts of a run, while there are enough
}

const (
	// maxParts bounds the list of a run: rsync reads it in a tenth of a second.
	maxParts = 4000
	// A run should take between minRun and maxRun: connecting a far away host takes a fifth of the former, and
	// who looks on learns something every few seconds.
	minRun = 5 * time.Second
	maxRun = 20 * time.Second
	// firstShare is how small a part of what falls to each of the runs at a time it begins with, which tells how long
	// parts take. Simulated, half of that has 200,000 files take a fifth longer at 100 ms, and twice of it is as fast.
	firstShare = 8
	// maxGrowth bounds what is concluded from one run, for the parts that come may hold more.
	maxGrowth = 8
	// minShare is how small a part of size the last runs are: what takes a second or so. At 100 ms, where the start of a
	// run takes 0.8 s, smaller ones cost more than that one ends so much after the others.
	minShare = 4
)

func newSchedule(parts, runs int) schedule {
	return schedule{runs: runs, size: max(1, parts/(firstShare*runs))}
}

// next returns how many of the parts that are left the next run takes.
func (s *schedule) next(left int) int {
	n := min(s.size, max(left/(2*s.runs), s.size/minShare), maxParts)
	return min(max(n, 1), left)
}

// learn adapts the size to how long a run with n parts took.
func (s *schedule) learn(n int, took time.Duration) {
	switch {
	case took < minRun:
		growth := min(float64(minRun)/float64(max(took, 1)), maxGrowth)
		s.size = max(s.size, int(float64(n)*growth))
	case took > maxRun:
		s.size = max(1, min(s.size, n/2))
	}
}
