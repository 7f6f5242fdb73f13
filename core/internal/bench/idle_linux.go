package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/filewatch/filewatch/sdk/run"
)

// idling measures what a contender takes when nothing happens.
func (b *bench) idling() {
	const mib = 1 << 20
	cpu := b.result("idle-cpu", "Idle: processor time", "ms/s", fmt.Sprintf("Of all processes at the source and at the far end, in %v, after one change. In large trees filewatch takes fanotify, which wakes for whatever is written to the file system.", b.idleTime))
	own := b.result("idle-memory", "Idle: memory", "MiB", "PSS of all processes at the source, after one change: filewatch's own are the daemon and its plugins; the others are the ssh that it keeps connected and the rsync on standby.")
	memoryOf := map[int]float64{}
	for _, n := range b.idle {
		b.within(func(s *scope) {
			b.tell("  making %d directories", 2*n)
			p := b.newPlace(s)
			h := shape{top: 10, sub: n / 10}
			if h.sub == 0 {
				h = shape{top: n, sub: 1}
			}
			h.make(s, p.source)
			s.command(run.Command{Path: "cp", Args: []string{"-a", p.source + "/.", p.destination}})
			b.inTurns(1, []*contender{filewatch, lsyncdBest, script}, func(c *contender, _ int) {
				b.within(func(s *scope) {
					at := c.start(b, s, p)
					b.warmUp(s, at, p, "warm-up", true)
					at.quiet(s, p)
					near, far := at.spent(p)
					s.sleep(b.idleTime)
					nearNow, farNow := at.spent(p)
					name := fmt.Sprintf("%s, %d directories", c.name, n)
					cpu.add(name, milliseconds(nearNow-near+farNow-far)/b.idleTime.Seconds())
					ours, others := memory(b.filewatch, at.pids...)
					if c != filewatch {
						own.add(name, others/mib)
						return
					}
					memoryOf[n] = ours
					own.add(name+", own", ours/mib)
					own.add(name+", ssh and rsync", others/mib)
					idle := cpu.of(name).p50()
					b.aimAt(fmt.Sprintf("idle with %d directories, processor time", n), idle, 1, "ms/s")
				})
			})
			s.check(os.RemoveAll(filepath.Dir(p.source))) // before the next is made
		})
	}
	few, many := b.idle[0], b.idle[len(b.idle)-1]
	if memoryOf[few] > 0 {
		b.aimAt(fmt.Sprintf("idle with %d directories, memory of daemon and plugins", few), memoryOf[few]/mib, 40, "MiB")
		b.aimAt("memory of each further directory", (memoryOf[many]-memoryOf[few])/float64(many-few)/1024, 0.5, "KiB")
	}
}
