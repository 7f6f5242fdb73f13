package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// busyPace is the time between changes.
const busyPace = 100 * time.Millisecond

// changesWhileBusy measures small changes while a large file is on its way.
func (b *bench) changesWhileBusy() {
	r := b.result("busy", fmt.Sprintf("Small files while %s MB are on their way", number(float64(b.travel)/1e6)), "ms",
		fmt.Sprintf("A new file of 100 bytes each %v, first with nothing else to do, then while a large file is sent that was moved into the source. Over the loopback address, so that this needs all processors.", busyPace))
	const calm, loaded = ", idle", ", while it travels"
	took := b.result("busy-time", "The large file itself", "ms", "Time until it is at the destination, in the same run.")
	b.within(func(s *scope) {
		p := b.placeWith(s, b.small)
		big := filepath.Join(filepath.Dir(p.source), "big")
		s.writeFile(big, b.travel, 1)
		b.inTurns(1, []*contender{filewatch, lsyncdBest}, func(c *contender, _ int) {
			b.within(func(s *scope) {
				at := c.start(b, s, p)
				b.warmUp(s, at, p, b.small.some(0), true)
				at.quiet(s, p)
				left := b.calm
				r.add(c.name+calm, s.stream(p, b.small.directory(0), func() bool { left--; return left >= 0 })...)
				at.quiet(s, p)
				s.check(os.Rename(big, filepath.Join(p.source, "big")))
				began, arrived := time.Now(), false
				r.add(c.name+loaded, s.stream(p, b.small.directory(0), func() bool {
					info, err := os.Stat(filepath.Join(p.destination, "big"))
					if arrived = err == nil && info.Size() == int64(b.travel); arrived {
						took.add(c.name, milliseconds(time.Since(began)))
					}
					return !arrived
				})...)
				at.quiet(s, p)
				s.verify(p)
				s.check(os.Rename(filepath.Join(p.source, "big"), big))
				if !s.awaitPaths(p, []string{"big"}, time.Minute) {
					s.Fatalf("%s: not in step after a rename", c.name)
				}
			})
		})
	})
	b.aim("small changes while a large file travels, p95, to without", r.of(filewatch.name+loaded).p95(), 3, r.of(filewatch.name+calm).p95())
}

// stream makes small files at a steady pace while more returns true, whether those before have arrived or not, and
// returns how long each of them took.
func (s *scope) stream(p place, directory string, more func() bool) (took samples) {
	type file struct {
		content []byte
		made    time.Time
	}
	there := filepath.Join(p.destination, directory)
	a := s.arrivalsIn(there)
	defer a.close()
	underway := map[string]file{}
	for due, going := time.Now(), true; going || len(underway) > 0; {
		if going && !time.Now().Before(due) {
			if going = more(); going {
				name := fmt.Sprintf("new-%d", time.Now().UnixNano())
				content := fmt.Appendf(nil, "%-*s\n", contentSize-1, name)
				s.write(p, filepath.Join(directory, name), content)
				underway[name] = file{content, time.Now()}
				due = due.Add(busyPace)
			}
		}
		pause := busyPace
		if going {
			pause = max(time.Until(due), 0)
		}
		a.next(pause)
		for name, f := range underway {
			if content, err := os.ReadFile(filepath.Join(there, name)); err == nil && bytes.Equal(content, f.content) {
				took = append(took, milliseconds(time.Since(f.made)))
				delete(underway, name)
			} else if time.Since(f.made) > 2*time.Minute {
				s.Fatalf("%s does not arrive", name)
			}
		}
	}
	return took
}
