package queue

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// failure is the history of a path that could not be sent.
type failure struct {
	text     string
	since    instant // of the first failure in a row
	attempts int     // failures in a row
}

// maxText bounds what is kept of a reason.
const maxText = 512

// again returns f with one more failure.
func (f *failure) again(text string, now instant) *failure {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	if f == nil {
		return &failure{text: text, since: now, attempts: 1}
	}
	return &failure{text: text, since: f.since, attempts: f.attempts + 1}
}

// join returns one history for the two, either of which may be nil.
func (f *failure) join(g *failure) *failure {
	switch {
	case f == nil:
		return g
	case g == nil:
		return f
	case g.attempts > f.attempts:
		f, g = g, f
	}
	return &failure{text: f.text, since: min(f.since, g.since), attempts: f.attempts}
}

// backoff returns how long to wait after so many failures in a row. jitter is in [0, 1) and moves it
// by up to a fifth either way.
func (q *Queue) backoff(attempts int, jitter float64) instant {
	d := q.cfg.RetryMin
	for ; attempts > 1 && d < q.cfg.RetryMax; attempts-- {
		d *= 2
	}
	return instant(float64(min(d, q.cfg.RetryMax)) * (0.8 + 0.4*jitter))
}

// Failure is a path whose last try failed.
type Failure struct {
	Path     string
	Text     string    // why
	Since    time.Time // of the first failure in a row
	Next     time.Time // when it is due again; zero while it is being tried
	Attempts int       // failures in a row
}

// Failing returns up to limit of the paths whose last try failed, in the order of their names, and how
// many there are.
func (q *Queue) Failing(limit int) (list []Failure, total int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for e := range q.all {
		if e.fail == nil {
			continue
		}
		f := Failure{Path: e.path(), Text: e.fail.text, Since: q.time(e.fail.since), Attempts: e.fail.attempts}
		if e.pos >= 0 {
			f.Next = q.time(e.due)
		}
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b Failure) int { return cmp.Compare(a.Path, b.Path) })
	total = len(list)
	return slices.Clip(list[:min(limit, total)]), total
}
