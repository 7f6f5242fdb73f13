package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// contentSize is the size of a file that is changed.
const contentSize = 100

const changeText = "Time from the end of a write of 100 bytes into an existing file until the new content is at the destination, when nothing else is going on."

// changeSmall measures single changes in a small tree, and the processor time that they take.
func (b *bench) changeSmall() {
	h := b.small
	r := b.result("change", fmt.Sprintf("One small change, %d files", h.total()), "ms", changeText)
	cpu := b.result("cpu", "Processor time of a small change", "ms",
		"Of all processes at the source and at the far end, ssh and sshd included, in the same runs, until everything is at rest again.")
	b.within(func(s *scope) {
		p := b.placeWith(s, h)
		all := []*contender{filewatch, floor, lsyncdBest, scriptShared, script, lsyncdPlain}
		b.inTurns(b.rounds, all, func(c *contender, round int) { b.measure(r, cpu, c, p, h, b.samplesOf(c), round) })
	})
	us, best := r.of(filewatch.name), r.of(lsyncdBest.name)
	b.aim("one small change, p50, to lsyncd at its best", us.p50(), 1./3, best.p50())
	b.aim("one small change, p95, to lsyncd at its best", us.p95(), 1./2, best.p95())
	b.aim("one small change, p50, to the prewarmed rsync", us.p50(), 2.5, r.of(floor.name).p50())
	b.aim("processor time of a change, to lsyncd at its best", cpu.of(filewatch.name).p50(), 1, cpu.of(lsyncdBest.name).p50())
}

// samplesOf is how many changes are measured of a contender in a round.
func (b *bench) samplesOf(c *contender) int { return max(b.changes/c.slowness, 1) }

// changeFlat measures single changes in one directory with many files.
func (b *bench) changeFlat() {
	b.changeIn(b.flat, "flat", fmt.Sprintf("One small change, one flat directory of %d files", b.flat.total()), 2,
		filewatch, floor, lsyncdBest, scriptShared)
}

// changeLarge measures single changes in a large tree.
func (b *bench) changeLarge() {
	b.changeIn(b.large, "large", fmt.Sprintf("One small change, %d files", b.large.total()), 2,
		filewatch, floor, lsyncdBest, &contender{name: scriptShared.name, start: scriptShared.start, slowness: b.changes, once: true})
}

func (b *bench) changeIn(h shape, id, title string, rounds int, contenders ...*contender) {
	r := b.result(id, title, "ms", changeText)
	b.within(func(s *scope) {
		b.tell("  making %d files", 2*h.total())
		p := b.placeWith(s, h)
		b.inTurns(min(rounds, b.rounds), contenders, func(c *contender, round int) { b.measure(r, nil, c, p, h, b.samplesOf(c), round) })
		b.tell("  removing them")
	})
	b.aim(title+", p50, to the small tree", r.of(filewatch.name).p50(), 1.3, b.result("change", "", "", "").of(filewatch.name).p50())
}

// changeOverLine measures single changes in a small tree, to a host that is far away.
func (b *bench) changeOverLine() {
	h := b.small
	r := b.result("line", fmt.Sprintf("One small change, %d files, %v round trip", h.total(), roundTrip), "ms", changeText+" A proxy passes each byte on only after half of a round trip.")
	b.within(func(s *scope) {
		p := b.placeWith(s, h)
		p.overLine = true
		p.line.Delay(roundTrip / 2)
		defer p.line.Heal()
		all := []*contender{filewatch, floor, lsyncdBest, scriptShared, script}
		b.inTurns(min(b.rounds, 2), all, func(c *contender, round int) { b.measure(r, nil, c, p, h, b.samplesOf(c), round) })
	})
	b.aim(fmt.Sprintf("one small change over %v, p50, in round trips", roundTrip), r.of(filewatch.name).p50(), 2.5, milliseconds(roundTrip))
}

// newDirectory measures a directory that is made, with a file in it.
func (b *bench) newDirectory() {
	r := b.result("directory", fmt.Sprintf("A new directory with a file, beside %d files", b.small.total()), "ms",
		"A program makes a directory and writes a file of 100 bytes in it. Time from the end of that until the file is at the destination, when nothing else is going on.")
	b.within(func(s *scope) {
		p := b.placeWith(s, b.small)
		made := 0
		b.inTurns(min(b.rounds, 2), []*contender{filewatch, lsyncdBest, scriptShared}, func(c *contender, round int) {
			b.within(func(s *scope) {
				at := c.start(b, s, p)
				b.warmUp(s, at, p, b.small.some(round), true)
				at.quiet(s, p)
				for range b.samplesOf(c) {
					made++
					r.add(c.name, milliseconds(s.makeDirectory(p, fmt.Sprint("new-", made))))
					at.quiet(s, p)
				}
			})
		})
	})
}

// makeDirectory makes a directory with a file and returns how long it took to be at the destination.
func (s *scope) makeDirectory(p place, dir string) time.Duration {
	file := filepath.Join(dir, "file")
	s.check(os.Mkdir(filepath.Join(p.source, dir), 0o755))
	s.write(p, file, make([]byte, contentSize))
	began := time.Now()
	s.poll(file, 2*time.Minute, time.Millisecond/4, func() bool {
		return inStep(filepath.Join(p.source, file), filepath.Join(p.destination, file))
	})
	return time.Since(began)
}

// measure measures n single changes, and the mean processor time of them if cpu is not nil.
func (b *bench) measure(r, cpu *result, c *contender, p place, h shape, n, round int) {
	b.within(func(s *scope) {
		at := c.start(b, s, p)
		k := round * (n + warmUps)
		for i := range warmUps {
			b.warmUp(s, at, p, h.some(k+i), i == 0)
			at.quiet(s, p)
			if c.slowness > 1 {
				break // it has nothing to warm but the caches
			}
		}
		near, far := at.spent(p)
		for i := range n {
			r.add(c.name, milliseconds(s.change(at, p, h.some(k+warmUps+i))))
			at.quiet(s, p)
		}
		if cpu != nil && !c.once {
			nearNow, farNow := at.spent(p)
			cpu.add(c.name, milliseconds(nearNow-near+farNow-far)/float64(n))
		}
	})
}

// warmUps is how many changes come before those that are measured.
const warmUps = 3

// change makes one change and returns how long it took to be at the destination.
func (s *scope) change(r *running, p place, path string) time.Duration {
	content := fmt.Appendf(nil, "%-*d\n", contentSize-1, time.Now().UnixNano())
	a := s.arrivalsIn(filepath.Join(p.destination, filepath.Dir(path)))
	defer a.close()
	s.write(p, path, content)
	began := time.Now()
	if r.changed != nil {
		r.changed(path)
	}
	if !a.wait(filepath.Base(path), is(content), 2*time.Minute) {
		s.Fatalf("a change of %s does not arrive", path)
	}
	return time.Since(began)
}

// write writes to a file as a program does that changes it in its place.
func (s *scope) write(p place, path string, content []byte) {
	f, err := os.OpenFile(filepath.Join(p.source, path), os.O_WRONLY|os.O_CREATE, 0o644)
	s.check(err)
	_, err = f.Write(content)
	s.check(err)
	s.check(f.Close())
}

// warmUp changes a file until the contender has noticed: not all tell when they are ready.
func (b *bench) warmUp(s *scope, r *running, p place, path string, first bool) {
	a := s.arrivalsIn(filepath.Join(p.destination, filepath.Dir(path)))
	defer a.close()
	written := map[string]bool{}
	timeout := time.Minute
	if first {
		timeout = 3 * time.Second
	}
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); {
		content := fmt.Sprintf("%-*d\n", contentSize-1, time.Now().UnixNano())
		written[content] = true
		s.write(p, path, []byte(content))
		if r.changed != nil {
			r.changed(path)
		}
		if a.wait(filepath.Base(path), func(content []byte) bool { return written[string(content)] }, timeout) {
			return
		}
	}
	s.Fatalf("a change of %s does not arrive", path)
}
