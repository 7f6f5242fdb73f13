package rsync

import (
	"context"
	"path"
	"sync"
	"time"
)

// How much of a request is done is told where it is known how much there is to do: for a list, which mostly holds what
// differs, and for a comparison with a destination that has nothing yet. In other ones nobody knows beforehand
// what differs, and rsync does not say where it is.

// entryAmount is the amount of work that an entry is beside its content, a byte of which is 1. With small files, rsync
// handles one in the time that it takes to send some KiB of a large one: 25 to 40 µs at 100 MB/s.
const entryAmount = 4 << 10

// amount is how much work there is for rsync, as far as it is known; 0 = not known.
func (w work) amount() (n uint64) {
	if w.full || len(w.trees) > 0 || len(w.levels) > 0 {
		return 0
	}
	for _, e := range w.entries {
		if e.state == stateFile {
			n += entryAmount + e.size
		}
	}
	return n
}

const (
	// measureAfter is how long a comparison of everything has taken when its source is measured. Who looks on can
	// wait so long for an estimate, and to read 200,000 entries takes a second then.
	measureAfter = 30 * time.Second
	// maxTop is how many entries may lie directly in a root that is measured: rsync looks at so many in 50 ms, and they
	// are remembered.
	maxTop = 10_000
)

// measured runs measure beside a comparison of everything, until the function that it returns is called.
func (s *session) measured(ctx context.Context, o *output) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.measure(ctx, o) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// measure finds out, once a comparison of everything has taken a while, how much work it is, if the destination had
// nothing before it began.
func (s *session) measure(ctx context.Context, o *output) {
	after := time.NewTimer(s.t.measureAfter)
	defer after.Stop()
	select {
	case <-ctx.Done():
		return
	case <-after.C:
	}
	if !s.fresh(ctx, o) {
		return
	}
	var total uint64
	s.walk(ctx, "", true, func(_ string, size uint64) bool { total += entryAmount + size; return true })
	if ctx.Err() == nil {
		s.count.expect(total)
	}
}

// fresh waits until a comparison that is under way, o, proves to have begun with a destination that had nothing of what
// lies directly in the root: it is still missing, or rsync says that it has created it. It may say so much later than
// it does so. False means that it has not been proved before ctx ended, or cannot be.
func (s *session) fresh(ctx context.Context, o *output) bool {
	top := map[string]bool{}
	s.walk(ctx, "", false, func(p string, _ uint64) bool { top[p] = true; return len(top) <= maxTop })
	if len(top) == 0 || len(top) > maxTop || s.checks() {
		return false
	}
	m := mode{limit: noLimit, dry: true}
	missing := s.outcome(m)
	j := job{flags: append([]string{"--dirs"}, s.sizeArgs()...)}
	if err := s.rsync(ctx, s.args(j, m), nil, missing); err != nil || !missing.ran() {
		return false
	}
	strike := func(list []string) {
		for _, p := range list {
			delete(top, p)
		}
	}
	strike(missing.stdout.top)
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		if strike(s.count.created(o)); len(top) == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// walk calls entry for each entry in a directory that is sent, with its size, 0 if it is no file, and if it is to go
// deep for all that is in directories there, until that returns false. It leaves out what it cannot read, and ends when ctx does.
func (s *session) walk(ctx context.Context, dir string, deep bool, entry func(path string, size uint64) bool) bool {
	f, err := s.openDir(dir)
	if err != nil {
		return true
	}
	defer f.Close()
	for ctx.Err() == nil {
		list, err := f.ReadDir(1000)
		for _, e := range list {
			p := path.Join(dir, e.Name())
			if s.filter.Match(p, e.IsDir()) {
				continue
			}
			size := uint64(0)
			if e.Type().IsRegular() {
				info, err := e.Info()
				if err != nil || s.sizeArgs() != nil && uint64(info.Size()) > s.req.MaxSize {
					continue
				}
				size = uint64(info.Size())
			}
			if !entry(p, size) || deep && e.IsDir() && !s.walk(ctx, p, deep, entry) {
				return false
			}
		}
		if err != nil {
			return true
		}
	}
	return false
}
