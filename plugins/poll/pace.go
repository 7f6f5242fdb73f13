package poll

import "time"

// pace decides when the next pass begins and of which kind it is, so that passes never cost more than
// a share of one core's time.
type pace struct {
	interval time.Duration // between passes, at least
	load     float64       // most cost per time; above 0, at most 1

	full, light    time.Duration // what the last pass of each kind cost
	lastFull, last time.Time     // when the last full pass, and the last of any kind, began
}

// done records a pass.
func (p *pace) done(light bool, began time.Time, cost time.Duration) {
	p.last = began
	if light {
		p.light = cost
	} else {
		p.full, p.lastFull = cost, began
	}
}

// next returns when the next pass is to begin, and whether it is a light one. As long as full passes
// fit into the load there are no others; then each kind gets half of it.
func (p *pace) next() (at time.Time, light bool) {
	if p.spread(p.full, p.load) <= p.interval {
		return p.lastFull.Add(p.interval), false
	}
	fullAt := p.lastFull.Add(p.spread(p.full, p.load/2))
	lightAt := p.last.Add(max(p.interval, p.spread(p.light, p.load/2)))
	if lightAt.Before(fullAt) {
		return lightAt, true
	}
	return fullAt, false
}

// spread returns how long cost is for.
func (p *pace) spread(cost time.Duration, load float64) time.Duration {
	return time.Duration(float64(cost) / load)
}
