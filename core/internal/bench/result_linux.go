package main

// result is what one workload has measured of one figure.
type result struct {
	id, title, unit string
	text            string // what was done
	lines           []*line
}

// line is what was measured of one contender.
type line struct {
	name string
	samples
	failures int // how often it was not in step within a minute
}

// result returns the result of that id, which it makes at first.
func (b *bench) result(id, title, unit, text string) *result {
	for _, r := range b.results {
		if r.id == id {
			return r
		}
	}
	r := &result{id: id, title: title, unit: unit, text: text}
	b.results = append(b.results, r)
	return r
}

// add adds samples to the line of that name.
func (r *result) add(name string, values ...float64) {
	l := r.line(name)
	l.samples = append(l.samples, values...)
}

// fail notes that the contender of that name was not in step within a minute.
func (r *result) fail(name string) { r.line(name).failures++ }

// line returns the line of that name, which it makes at first.
func (r *result) line(name string) *line {
	for _, l := range r.lines {
		if l.name == name {
			return l
		}
	}
	l := &line{name: name}
	r.lines = append(r.lines, l)
	return l
}

// of returns the samples of the line of that name.
func (r *result) of(name string) samples {
	for _, l := range r.lines {
		if l.name == name {
			return l.samples
		}
	}
	return nil
}

// goal is what is to be reached, and what was.
type goal struct {
	text        string
	value, most float64
	unit        string
}

func (g goal) reached() bool { return g.value <= g.most }

// aim adds the goal that value is no more than most times of.
func (b *bench) aim(text string, value, most, of float64) {
	if value > 0 && of > 0 { // else one of them was not measured
		b.goals = append(b.goals, goal{text, value / of, most, "×"})
	}
}

// aimAt adds the goal that value is no more than most.
func (b *bench) aimAt(text string, value, most float64, unit string) {
	b.goals = append(b.goals, goal{text, value, most, unit})
}
