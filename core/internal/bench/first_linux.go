package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk/run"
)

// farTrips are round trips to hosts on the same continent, and on another one.
var farTrips = []time.Duration{roundTrip, 100 * time.Millisecond}

// firstSync measures the first sync of many small files.
func (b *bench) firstSync() {
	const fileSize = 1 << 10
	h := b.first
	title := fmt.Sprintf("First sync of %d files", h.total())
	near := b.result("first", title, "s", fmt.Sprintf("Of %d bytes each, to an empty destination: from the start of the program until it is through. Both trees are in memory (/dev/shm) where there is room, for a disk that is still writing back what the run before has left would decide.", fileSize))
	var far []*result
	for _, trip := range farTrips {
		far = append(far, b.result(fmt.Sprintf("first-line-%v", trip), fmt.Sprintf("%s, %v round trip", title, trip), "s", "The same, through the proxy."))
	}
	one := &contender{name: "one plain rsync", slowness: 1}
	b.within(func(s *scope) {
		s.dir = inMemory(s.dir, uint64(h.total())*(16<<10))
		source := b.newPlace(s)
		b.tell("  making %d files", h.total())
		s.parallel(h.top*h.sub, func(i int) error {
			if err := os.MkdirAll(filepath.Join(source.source, h.directory(i)), 0o755); err != nil {
				return err
			}
			for j := range h.files {
				if err := os.WriteFile(filepath.Join(source.source, h.file(i, j)), fmt.Appendf(nil, "%*d", fileSize, i*h.files+j), 0o644); err != nil {
					return err
				}
			}
			return nil
		})
		run := func(r *result, c *contender, overLine bool) {
			s.within(func(s *scope) {
				p := b.newPlace(s)
				p.source, p.overLine = source.source, overLine
				unix.Sync() // else this run waits for what the one before has left to the disk
				began := time.Now()
				b.syncAll(s, c, p)
				r.add(c.name, time.Since(began).Seconds())
				if wrong := differing(s.snapshot(p.destination), s.snapshot(p.source)); len(wrong) > 0 {
					s.Fatalf("%d paths are not in step after a first sync, such as %q", len(wrong), wrong[0])
				}
			})
		}
		b.inTurns(b.rounds, []*contender{one, filewatch}, func(c *contender, _ int) { run(near, c, false) })
		defer source.line.Heal()
		for i, trip := range farTrips {
			source.line.Delay(trip / 2)
			b.inTurns(min(b.rounds, 2), []*contender{one, filewatch, parallel}, func(c *contender, _ int) { run(far[i], c, true) })
		}
	})
	b.aim("first sync, to one plain rsync", near.of(filewatch.name).p50(), 1, near.of(one.name).p50())
	for i, trip := range farTrips {
		us, plain := far[i].of(filewatch.name).p50(), far[i].of(one.name).p50()
		b.aim(fmt.Sprintf("first sync over %v, to one plain rsync", trip), us, 1, plain)
		b.aim(fmt.Sprintf("first sync over %v with parallel = 4, to one plain rsync", trip), far[i].of(parallel.name).p50(), 1, plain)
	}
}

// inMemory returns a directory in memory that has room for n bytes, or else dir.
func inMemory(dir string, n uint64) string {
	const memory = "/dev/shm"
	var fs unix.Statfs_t
	if unix.Statfs(memory, &fs) != nil || fs.Type != unix.TMPFS_MAGIC || fs.Bavail*uint64(fs.Bsize) < n {
		return dir
	}
	return memory
}

// syncAll runs filewatch until all is in sync, or else one plain rsync.
func (b *bench) syncAll(s *scope, c *contender, p place) {
	switch c {
	case filewatch:
		b.daemon(s, p, "").wait(s)
		return
	case parallel:
		b.daemon(s, p, "parallel = 4").wait(s)
		return
	}
	s.command(run.Command{Path: "rsync", Args: []string{"-a", "--delete", "-e", "ssh -F " + p.config(s, ""), p.source + "/", p.target()}})
}
