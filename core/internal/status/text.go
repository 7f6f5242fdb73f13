package status

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Text returns the report as operators read it. Lines are no longer than width where there is a space to
// break them at; with a width of 0 they are as long as they need to be, one for each fact. No byte of a name
// or an error reaches a terminal that could command it.
func (r Report) Text(width int) string {
	p := page{width: width}
	p.line(0, fmt.Sprintf("filewatch %s (pid %d), up %s", r.Version, r.PID, age(r.Now, r.Started)))
	for _, s := range r.Syncs {
		p.b.WriteByte('\n')
		s.write(&p, r.Now)
	}
	return p.b.String()
}

func (s Sync) write(p *page, now time.Time) {
	p.line(0, Quote(s.Name)+"  "+Quote(s.Source))
	if s.Paused {
		p.line(1, "paused; to go on:")
		p.command(2, "filewatch resume "+s.Name)
	}
	s.Watch.write(p)
	for _, d := range s.Destinations {
		d.write(p, now)
	}
}

func (w Watch) write(p *page) {
	text := "watcher: " + cmp.Or(w.Watcher, "none")
	if w.Why != "" {
		text += " (" + w.Why + ")"
	}
	if !w.Watched {
		text += ", does not see every change yet"
	}
	p.line(1, text)
	if w.Degraded != "" {
		p.line(1, "degraded: "+w.Degraded)
	}
	if len(w.Fallback) > 0 {
		var names []string
		for _, name := range w.Fallback {
			if name == "" {
				names = append(names, "the whole source")
			} else {
				names = append(names, Quote(name))
			}
		}
		p.line(1, "looked after in another way: "+strings.Join(names, ", ")+more(w.FallbackMore, " "))
	}
	if w.Missed > 0 {
		p.line(1, fmt.Sprintf("comparisons found %s that the watcher should have reported", count(w.Missed, "change")))
	}
}

// stateWidth is that of the longest state.
const stateWidth = len(Unproved)

func (d Destination) write(p *page, now time.Time) {
	p.line(1, fmt.Sprintf("%-*s  %s", stateWidth, Escape(string(d.State)), Quote(d.Destination)))
	facts := d.backlog(now)
	if d.Progress != nil {
		facts = append(facts, d.Progress.Text(now))
	}
	if d.SyncedAt != nil && d.State != InSync {
		facts = append(facts, "in sync "+age(now, *d.SyncedAt)+" ago")
	}
	if d.LastConfirmed == nil {
		facts = append(facts, "nothing confirmed yet")
	} else {
		facts = append(facts, "confirmed "+age(now, *d.LastConfirmed)+" ago")
	}
	if d.LastFull == nil {
		facts = append(facts, "not compared yet")
	} else {
		facts = append(facts, "compared "+age(now, *d.LastFull)+" ago")
	}
	p.line(3, strings.Join(facts, ", "))
	if d.Large != "" {
		p.line(3, "on its way: "+Quote(d.Large))
	}
	if d.Waits {
		p.line(3, "waits for its turn: as many transfers are under way as max_transfers allows")
	}
	if d.Away != nil {
		p.line(3, fmt.Sprintf("away for %s%s: %s", age(now, d.Away.Since), next(now, d.Away.Next), d.Away.Text))
	}
	if d.Hold != nil {
		d.Hold.write(p, now)
	}
	for _, f := range d.Failing {
		p.line(3, fmt.Sprintf("not sent: %s: %s (for %s, %s%s)", Quote(f.Path), f.Text, age(now, f.Since), count(uint64(f.Attempts), "attempt"), next(now, f.Next)))
	}
	if d.FailingMore > 0 {
		p.line(3, "not sent: "+more(d.FailingMore, ""))
	}
}

func (h Hold) write(p *page, now time.Time) {
	p.line(3, fmt.Sprintf("held for %s (%s): %s", age(now, h.Since), h.Kind, h.Text))
	for _, path := range h.Sample {
		p.command(4, Quote(path))
	}
	if len(h.Commands) > 0 {
		p.line(3, "to go on:")
	}
	for _, c := range h.Commands {
		p.command(4, c)
	}
}

// Summary returns the state and what waits, as in "sending, 14 pending, lag 3m20s".
func (d Destination) Summary(now time.Time) string {
	return strings.Join(append([]string{Escape(string(d.State))}, d.backlog(now)...), ", ")
}

func (d Destination) backlog(now time.Time) (facts []string) {
	if d.Pending > 0 {
		facts = append(facts, strconv.Itoa(d.Pending)+" pending")
	}
	if d.Oldest != nil {
		facts = append(facts, "lag "+age(now, *d.Oldest))
	}
	return facts
}

// next tells when the next try is.
func next(now time.Time, at *time.Time) string {
	switch {
	case at == nil:
		return ", being tried"
	case !at.After(now):
		return ", next try now"
	}
	return ", next try in " + age(*at, now)
}

func more(n int, before string) string {
	if n == 0 {
		return ""
	}
	return before + "+" + strconv.Itoa(n) + " more"
}

func count(n uint64, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.FormatUint(n, 10) + " " + what
}

// size returns a number of bytes in the largest unit that leaves something before the point.
func size(n uint64) string {
	if n < 1000 {
		return strconv.FormatUint(n, 10) + " B"
	}
	f := float64(n)
	unit := -1
	for ; f >= 999.95 && unit < 5; unit++ {
		f /= 1000
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + string("kMGTPE"[unit]) + "B"
}

// age returns how long ago then was, in at most two units. A clock that was set back makes it 0.
func age(now, then time.Time) string {
	const day = 24 * time.Hour
	d := max(now.Sub(then), 0)
	units := func(big time.Duration, bigName string, small time.Duration, smallName string) string {
		s := strconv.FormatInt(int64(d/big), 10) + bigName
		if rest := d % big / small; rest > 0 {
			s += strconv.FormatInt(int64(rest), 10) + smallName
		}
		return s
	}
	switch {
	case d < time.Minute:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	case d < time.Hour:
		return units(time.Minute, "m", time.Second, "s")
	case d < day:
		return units(time.Hour, "h", time.Minute, "m")
	}
	return units(day, "d", time.Hour, "h")
}
