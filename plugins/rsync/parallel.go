package rsync

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// A large comparison is split (parallel_parts.go). First its parts are brought in step by several runs at
// the same time, which delete nothing, then what lies in the directories above them by another one. What these
// have settled needs nothing more. The rest is a comparison as any other: parts in which something is to be
// deleted, or in which something went wrong. So deletions come after everything that was created, with one
// limit for all, and failures are looked into in the usual way.
//
// It pays where an rsync waits. By itself one has about a thousand files under way (MIN_FILECNT_LOOKAHEAD in its
// rsync.h), so that latency bounds what it compares to some 1,000 files in a round trip. One that lists at once what it is
// to compare (--no-inc-recursive) has no such bound, but holds the whole list in memory, so the runs for parts do that up to
// maxAtOnce. What bounds a first sync then is that ssh has 2 MiB of a run under way. 200,000 files of 1 KiB in 2,000
// directories, through ssh, on two cores that do both sides and were otherwise idle, with one run and with four:
//
//	round trip   first sync          comparison
//	0            3.1 s    4.4 s      1.3 s    1.8 s
//	20 ms        5.8 s    5.6 s      6.1 s    2.7 s
//	100 ms       23.3 s   10.1 s     23.4 s   5.6 s
//
// So one run is the default, which is never the slower one where processors or a disk are the limit.

// maxParallel leaves room in the ten sessions that an ssh server grants one connection (MaxSessions in
// sshd_config(5)), for standbys and for other requests.
const maxParallel = 6

// ahead brings subtrees in step with several runs at the same time, as far as that takes no deletion. It
// returns the work that is left.
func (s *session) ahead(ctx context.Context, w work) (work, error) {
	if !s.splits() {
		return w, nil
	}
	roots := w.trees
	if w.full {
		roots = []string{""}
	}
	split, ok := s.partition(roots)
	if !ok {
		return w, nil
	}
	if err := s.probed(ctx); err != nil {
		return work{}, err
	}
	p := pool{s: s, parts: split.parts, total: len(split.parts), schedule: newSchedule(len(split.parts), s.config.Parallel)}
	if err := p.run(ctx); err != nil {
		return work{}, err
	}
	out, err := s.runAhead(ctx, s.levelsJob(split.levels), s.presume)
	if err != nil {
		return work{}, err
	}
	if !out.ran() {
		return work{}, s.failure(out)
	}
	if w.full {
		s.count.result.Entries = p.entries + out.entries(nil)
	}
	w.full, w.trees = false, s.there(p.unsettled)
	// What a run without contents has created is new since the tree was split.
	for _, dir := range out.stdout.created {
		w.trees = append(w.trees, dir)
		w.full = w.full || dir == ""
	}
	if w.full {
		return work{full: true}, nil
	}
	slices.Sort(w.trees)
	w.trees = slices.Compact(w.trees)
	if !out.clean() {
		w.levels = split.levels
	}
	return w, nil
}

// splits reports whether comparisons may be split. Names of one file have to be in one run for their link to
// be kept, and a rate is that of one run.
func (s *session) splits() bool {
	cfg := s.config
	return cfg.Parallel > 1 && !s.req.DryRun && !cfg.HardLinks && cfg.BWLimit == "" &&
		!cfg.hasArg("--hard-links", "H") && !cfg.hasArg("--bwlimit", "")
}

// runAhead runs a job without deletions. When it has ended it is given to count. An error means that rsync could not be run.
func (s *session) runAhead(ctx context.Context, j job, count func(job, *outcome)) (*outcome, error) {
	if err := s.checkRoot(); err != nil {
		return nil, err
	}
	m := mode{limit: noLimit}
	if s.req.Delete {
		m = mode{thorough: true, limit: 0}
	}
	out := s.outcome(m)
	out.stdout.counted = nil // nothing is deleted
	out.stdout.alike = nil   // several runs would write at once
	err := s.rsync(ctx, s.args(j, m), j.list, out)
	if out.partial() {
		// What failed may be among what rsync says that it creates, and will say once more.
		out.stdout.createdCount -= min(out.stdout.createdCount, uint64(len(out.messages.list)))
	}
	count(j, out)
	return out, err
}

// levelsJob compares what lies directly in directories, which are all there was above the parts of a split
// comparison. A directory that is new there is created without its contents.
func (s *session) levelsJob(levels []string) job {
	j := s.treesJob([]string{})
	j.flags = append(slices.Clone(j.flags[1:]), "--stats") // without --recursive
	j.shallow, j.compares = true, true
	for _, dir := range s.there(levels) {
		j.list = append(j.list, "./"+strings.TrimPrefix(dir+"/", "/"))
	}
	return j
}

// there returns those of the paths that are directories still; the root is.
func (s *session) there(dirs []string) []string {
	var list []string
	for _, dir := range dirs {
		if dir != "" {
			if mode, _, err := s.lstat(dir); err == nil && !mode.IsDir() || isGone(err) {
				continue
			}
		}
		list = append(list, dir)
	}
	return list
}

// clean reports whether a run ahead has left nothing to be done.
func (o *outcome) clean() bool {
	return o.exit.OK() && !o.stuck && !o.obstructed() && o.stdout.keptCount == 0
}

// entries returns how many entries of the source a run has looked at below those of its list, nil for the root.
func (o *outcome) entries(list []string) uint64 {
	n := o.stdout.entries // without the root
	above := map[string]bool{}
	for _, p := range list {
		for i := range len(p) {
			if p[i] == '/' {
				above[p[:i]] = true
			}
		}
	}
	return n - min(n, uint64(len(list)+len(above)))
}

// pool brings the parts of a split comparison in step, as many at a time as its schedule says (parallel_schedule.go).
type pool struct {
	s     *session
	total int

	taking sync.Mutex // held to take parts, before mu; to count what they hold takes a while
	parts  []string   // not begun

	mu        sync.Mutex // guards all below, and what the session counts
	schedule  schedule
	done      int
	again     [][]string // whose run died
	unsettled []string
	entries   uint64
	err       error
}

// share is what one run of a pool takes.
type share struct {
	parts  []string
	atOnce bool // it lists all they hold before it begins
	tried  bool // it is the second try
}

// run returns when all parts are done, or with an error.
func (p *pool) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for range p.s.config.Parallel {
		wg.Go(func() {
			for sh := p.next(ctx); sh.parts != nil; sh = p.next(ctx) {
				if err := p.do(ctx, sh); err != nil {
					p.fail(err)
					cancel()
				}
			}
		})
	}
	wg.Wait()
	return p.err
}

// next returns what the next run takes; without parts when nothing is left. A second try is incremental: the first may
// have died for lack of memory.
func (p *pool) next(ctx context.Context) share {
	p.taking.Lock()
	defer p.taking.Unlock()
	n, again := p.wanted()
	if n == 0 {
		return share{parts: again, tried: true}
	}
	n, atOnce := p.s.fit(ctx, p.parts[:n])
	sh := share{parts: p.parts[:n], atOnce: atOnce}
	p.parts = p.parts[n:]
	return sh
}

// wanted returns how many parts the next run should take, or when there are none left those of a run that died. p.taking
// is held.
func (p *pool) wanted() (n int, again []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.err != nil:
	case len(p.parts) > 0:
		n = p.schedule.next(len(p.parts))
	case len(p.again) > 0:
		again, p.again = p.again[0], p.again[1:]
	}
	return n, again
}

// do brings parts in step with one run. One that dies is repeated, once: it may have been the only one.
func (p *pool) do(ctx context.Context, sh share) error {
	parts := p.s.there(sh.parts)
	var list []string
	for _, part := range parts {
		list = append(list, "./"+part)
	}
	if list == nil {
		return nil
	}
	j := p.s.treesJob(list)
	j.flags = append(slices.Clone(j.flags), "--stats")
	if sh.atOnce {
		j.flags = append(j.flags, "--no-inc-recursive")
	}
	began := time.Now()
	out, err := p.s.runAhead(ctx, j, p.count)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		return err
	case out.ran():
	case sh.tried:
		return p.s.failure(out)
	default:
		sdk.Logger(ctx).Debug("a part is tried once more", "err", p.s.failure(out))
		p.again = append(p.again, parts)
		return nil
	}
	if !out.clean() {
		p.unsettled = append(p.unsettled, parts...)
	}
	p.entries += out.entries(parts)
	p.done += len(parts)
	p.schedule.learn(len(parts), time.Since(began))
	p.s.count.advance(float64(p.done) / float64(p.total))
	return nil
}

// count counts a run of the pool.
func (p *pool) count(j job, out *outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.s.presume(j, out)
}

// fail notes the first error, which ends all runs.
func (p *pool) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}
