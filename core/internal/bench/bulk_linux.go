package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/filewatch/filewatch/sdk/run"
)

// plain is one run of rsync, over a shared connection, of just the paths that have changed.
const plain = "one plain rsync of the same paths, shared connection"

// burstOfFiles measures many new files at once.
func (b *bench) burstOfFiles() {
	const fileSize = 1 << 10
	title := fmt.Sprintf("Burst of %d new files", b.burst)
	r := b.result("burst", title, "ms",
		fmt.Sprintf("A program makes %d files of %d bytes in 50 new directories, as fast as it can. Time from its end until all are at the destination.", b.burst, fileSize))
	b.bulk(r, []*contender{filewatch, lsyncdBest, scriptShared.inOneRound()}, 3, func(s *scope, p place, round int) func() {
		return func() {
			for i := range b.burst {
				path := filepath.Join(p.source, fmt.Sprintf("burst-%d/%d/file-%d", round, i%50, i))
				if i < 50 {
					s.check(os.MkdirAll(filepath.Dir(path), 0o755))
				}
				s.writeFile(path, fileSize, uint64(i))
			}
		}
	}, func(s *scope, p place) { b.small.make(s, p.source) })
	b.aim(strings.ToLower(title[:1])+title[1:]+", to one plain rsync", r.of(filewatch.name).p50(), 1.3, r.of(plain).p50())
}

// The two commits that are checked out in turn hold these versions of a module, more than two years apart.
const (
	module          = "google.golang.org/grpc"
	before, current = "v1.60.0", "v1.85.0"
)

// checkout measures git going from one commit to another one and back.
func (b *bench) checkout() {
	r := b.result("checkout", "git checkout of a distant commit", "ms",
		fmt.Sprintf("In a repository of %s, from %s to %s and back. Time from the end of git until the destination is the same, .git included.", module, before, current))
	b.bulk(r, []*contender{filewatch, lsyncdBest, scriptShared.inOneRound()}, 2, func(s *scope, p place, round int) func() {
		return func() { git(s, p.source, "checkout", "-q", []string{before, current}[round%2]) }
	}, func(s *scope, p place) {
		git(s, p.source, "init", "-q")
		for _, version := range []string{before, current} {
			var m struct{ Dir string }
			s.check(json.Unmarshal([]byte(s.command(run.Command{Path: "go", Args: []string{"mod", "download", "-json", module + "@" + version}})), &m))
			git(s, p.source, "rm", "-rq", "--ignore-unmatch", ".")
			s.command(run.Command{Path: "cp", Args: []string{"-r", "--no-preserve=mode", m.Dir + "/.", p.source}})
			git(s, p.source, "add", "-A", "-f")
			git(s, p.source, "commit", "-q", "-m", version)
			git(s, p.source, "tag", version)
		}
		git(s, p.source, "gc", "-q")
	})
	b.aim("git checkout, to one plain rsync", r.of(filewatch.name).p50(), 1.5, r.of(plain).p50())
}

func git(s *scope, dir string, args ...string) {
	s.command(run.Command{Path: "git", Dir: dir, Args: args, Env: []string{
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@localhost", "GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@localhost",
	}})
}

// bulk measures how long after work the destination is in step, for each of the contenders and for one plain
// rsync. Prepare makes the source; newWork returns what is to be done in it next.
func (b *bench) bulk(r *result, contenders []*contender, times int, newWork func(s *scope, p place, turn int) func(), prepare func(*scope, place)) {
	b.within(func(s *scope) {
		p := b.newPlace(s)
		prepare(s, p)
		turn := 0
		one := &contender{name: plain, slowness: 1}
		b.inTurns(min(b.rounds, 3), append([]*contender{one}, contenders...), func(c *contender, _ int) {
			b.within(func(s *scope) {
				shared, _ := p.share(s)
				sync := func(args ...string) {
					s.command(run.Command{Path: "rsync", Args: append([]string{"-a", "-e", "ssh -F " + shared}, append(args, p.source+"/", p.target())...)})
				}
				sync("--delete")
				at := &running{}
				if c.start != nil {
					at = c.start(b, s, p)
					b.warmUp(s, at, p, "warm-up", true)
					at.quiet(s, p)
				}
				for range max(times/c.slowness, 1) {
					old := s.snapshot(p.source)
					newWork(s, p, turn)()
					turn++
					ended := time.Now()
					paths := differing(old, s.snapshot(p.source))
					if c.start == nil {
						list := s.list(p, paths)
						ended = time.Now()
						sync("--from0", "--files-from="+list, "--delete-missing-args", "--force")
					}
					if !s.awaitPaths(p, paths, time.Minute) {
						r.fail(c.name)
						break
					}
					r.add(c.name, milliseconds(time.Since(ended)))
					if c.slowness == 1 { // the script would go on for minutes
						at.quiet(s, p)
					}
					s.verify(p)
				}
			})
		})
	})
}

// list writes a list for rsync of the paths that exist in the source, and the topmost of those that do not: to
// rsync, those below it have vanished.
func (s *scope) list(p place, paths []string) (file string) {
	paths = slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
		_, err := os.Lstat(filepath.Dir(filepath.Join(p.source, path)))
		return err != nil
	})
	file = filepath.Join(s.TempDir(), "list")
	s.check(os.WriteFile(file, []byte(strings.Join(paths, "\x00")), 0o644))
	return file
}
