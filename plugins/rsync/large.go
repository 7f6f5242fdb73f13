package rsync

import (
	"context"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
	"github.com/filewatch/filewatch/sdk/run"
)

// A request may want large files left out (SyncRequest.MaxSize). In lists they are not named. What has grown since
// it was looked at, and all of them in a comparison, rsync leaves out and says so, whether they differ or not; a dry
// run tells which do.

const (
	// maxLarge and maxLargeBytes are how many files a result may name. The others are sent.
	maxLarge      = 1000
	maxLargeBytes = 1 << 20
	// maxOver bounds what is remembered of what rsync has left out: some 10 MiB. Past it all is sent.
	maxOver = 100_000
)

// overSize ends rsync's line about a file that it has left out.
const overSize = " is over max-size"

// yield lets others go first where processors are short: on two cores a large file over ssh takes both, and of the small
// changes beside it one in twenty took 8 to 118 ms; with it 9 to 13, and the file no longer than before.
func yield(p *run.Process) {
	const niceness = 10 // as nice(1)
	_ = syscall.Setpriority(syscall.PRIO_PGRP, p.PID(), niceness)
}

// sizeArgs leave large files out of a run. An rsync that cannot name them sends them.
func (s *session) sizeArgs() []string {
	if s.req.MaxSize == 0 || !s.caps.skips {
		return nil
	}
	return []string{"--max-size=" + strconv.FormatUint(s.req.MaxSize, 10), "--info=skip"}
}

// leaveLarge names in the result the large files that the request has left out.
func (s *session) leaveLarge(ctx context.Context) error {
	if s.overMore {
		s.req.MaxSize, s.over, s.overMore = 0, nil, false
		_, err := s.round(ctx, s.req.Changes, true)
		return err
	}
	if len(s.over) > 0 {
		if err := s.compareLarge(ctx); err != nil {
			return err
		}
	}
	large := slices.Sorted(maps.Keys(s.large))
	n, size := 0, 0
	for n < min(len(large), maxLarge) && size+len(large[n]) <= maxLargeBytes {
		size += len(large[n])
		n++
	}
	s.count.result.Large = large[:n:n]
	if n == len(large) {
		return nil
	}
	return s.sendLarge(ctx, large[n:])
}

// sendLarge sends files of any size.
func (s *session) sendLarge(ctx context.Context, paths []string) error {
	s.req.MaxSize = 0
	var changes []sdk.Change
	for _, p := range paths {
		changes = append(changes, sdk.Change{Path: p})
	}
	_, err := s.round(ctx, changes, true)
	return err
}

// compareLarge finds out which of the files differ that rsync has left out. In doubt all of them do.
func (s *session) compareLarge(ctx context.Context) error {
	var changes []sdk.Change
	for p := range s.over {
		changes = append(changes, sdk.Change{Path: p})
	}
	b := builder{filter: s.filter, delete: s.req.Delete, limit: s.req.MaxSize, lstat: s.lstat}
	w := b.build(changes)
	if len(w.large) < len(changes) {
		// They are no such files any more, or never were: a line can be misread.
		changes = slices.DeleteFunc(changes, func(c sdk.Change) bool { _, large := slices.BinarySearch(w.large, c.Path); return large })
		if _, err := s.round(ctx, changes, true); err != nil {
			return err
		}
	}
	// It must not take reading them all.
	differ := w.large
	if s.caps.nanoseconds && !s.config.Checksum {
		var entries []entry
		for _, p := range w.large {
			entries = append(entries, entry{path: p, state: stateLarge})
		}
		if err := s.checkRoot(); err != nil {
			return err
		}
		limit := s.req.MaxSize
		s.req.MaxSize = 0
		out, err := s.run(ctx, s.pathsJob(entries), mode{thorough: true, limit: noLimit, dry: true})
		s.req.MaxSize = limit
		if err != nil {
			return err
		}
		seen := append(out.stdout.paths, out.stdout.extra...)
		if out.exit.OK() && len(seen) <= maxPaths {
			differ = slices.DeleteFunc(seen, func(p string) bool { return !s.over[p] })
		}
	}
	for _, p := range differ {
		s.large[p] = true
	}
	return nil
}

// busyPatterns exclude what another call is at work on. The temporary files come first, for they are
// excluded also where only is looked at what there is.
func busyPatterns(req sdk.SyncRequest) (patterns []string) {
	for _, p := range req.Busy {
		patterns = append(patterns, temporaryPattern(p))
	}
	if req.DryRun {
		return patterns
	}
	for _, p := range req.Busy {
		patterns = append(patterns, filter.Literal(p))
	}
	return patterns
}

// temporaryPattern matches the temporary files of a path, wherever it is (get_tmpname in rsync's receiver.c).
// For a path that is too long for a pattern it excludes the directory.
func temporaryPattern(p string) string {
	dir := path.Dir(p)
	if dir == "." {
		return "/" + temporaryName(p)
	}
	if pattern := "/" + filter.Escape(dir) + "/" + temporaryName(p); len(pattern) < maxEntry {
		return pattern
	}
	return filter.Literal(dir)
}

// maxTemporary is how much of a name is in that of its temporary file at least.
const maxTemporary = 200

// temporaryName is the pattern for the names of temporary files of a path.
func temporaryName(p string) string {
	name := strings.TrimPrefix(path.Base(p), ".")
	more := ""
	if len(name) > maxTemporary {
		name, more = name[:maxTemporary], "*"
	}
	return "." + filter.Escape(name) + more + temporarySuffix
}
