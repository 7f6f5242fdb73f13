package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/filewatch/filewatch/sdk/run"
)

// renameDirectory measures what is sent when a large directory gets another name.
func (b *bench) renameDirectory() {
	const files = 64
	size := b.rename / files * files
	title := fmt.Sprintf("Rename of a directory of %s MB", number(float64(size)/1e6))
	r := b.result("rename", title+": sent", "MB", fmt.Sprintf("%d files. Bytes on the wire, in both directions, until the destination is the same. The script does not see renames: inotifywait is not asked for them.", files))
	took := b.result("rename-time", title+": time", "ms", "Of the same renames, until the destination is the same.")
	b.within(func(s *scope) {
		p := b.newPlace(s)
		p.overLine = true
		s.check(os.Mkdir(filepath.Join(p.source, "name-0"), 0o755))
		for i := range files {
			s.writeFile(filepath.Join(p.source, fmt.Sprintf("name-0/file-%d", i)), size/files, uint64(i))
		}
		s.command(run.Command{Path: "cp", Args: []string{"-a", p.source + "/.", p.destination}})
		turn := 0
		one := &contender{name: plain, slowness: 1}
		b.inTurns(1, []*contender{one, filewatch, lsyncdBest}, func(c *contender, _ int) {
			b.within(func(s *scope) {
				at := &running{}
				if c.start != nil {
					at = c.start(b, s, p)
					b.warmUp(s, at, p, "warm-up", true)
				}
				shared, _ := p.share(s)
				at.quiet(s, p)
				was, is := fmt.Sprintf("name-%d", turn), fmt.Sprintf("name-%d", turn+1)
				turn++
				s.check(os.Rename(filepath.Join(p.source, was), filepath.Join(p.source, is)))
				began := time.Now()
				sent := p.passing(func() {
					if c.start == nil {
						s.command(run.Command{Path: "rsync", Args: []string{"-a", "--delete", "-e", "ssh -F " + shared, p.source + "/", p.target()}})
					}
					paths := []string{was, is}
					for i := range files {
						paths = append(paths, fmt.Sprintf("%s/file-%d", is, i))
					}
					if !s.awaitPaths(p, paths, 5*time.Minute) {
						s.Fatalf("%s: not in step after a rename", c.name)
					}
					took.add(c.name, milliseconds(time.Since(began)))
					at.quiet(s, p)
				})
				r.add(c.name, sent/1e6)
				s.verify(p)
			})
		})
	})
	if us := r.of(filewatch.name); len(us) > 0 {
		b.aimAt("rename of a large directory, of its bytes", us.p50()*1e6/float64(size)*100, 1, "%")
	}
}
