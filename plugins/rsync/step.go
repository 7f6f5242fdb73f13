package rsync

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/filewatch/filewatch/sdk"
)

// step is a run that a request needs. The job depends on what the far end can do, which is asked only
// when there is something to do.
type step struct {
	job func() (j job, needed bool)
	// blame names the changes that are not settled while path differs.
	blame func(path string) []string
}

// steps returns the runs for some work. What appeared goes before what is gone, so that a name that was
// changed is at the destination under the old or the new one at every moment; rsync itself does not wait
// for a file to arrive before it removes another.
func (s *session) steps(w work) []step {
	itself := func(p string) []string { return []string{p} }
	if w.full {
		return []step{{needed(func() job { return s.treesJob(nil) }), itself}}
	}
	var steps []step
	list := func(entries []entry) {
		if len(entries) > 0 {
			steps = append(steps, step{needed(func() job { return s.pathsJob(entries) }), blameEntries(entries)})
		}
	}
	there, gone := split(w.entries)
	list(there)
	steps = append(steps, s.alikeSteps(there)...)
	// A tree needs nothing of the entries: the directories above it go along.
	if len(w.trees) > 0 {
		steps = append(steps, step{func() (job, bool) {
			var list []string
			for _, p := range w.trees {
				if !s.made[p] {
					list = append(list, "./"+p)
				}
			}
			j := s.treesJob(list)
			j.sent = w.unfolded
			return j, list != nil
		}, blameTrees(w.trees)})
	}
	if len(w.levels) > 0 {
		steps = append(steps, step{needed(func() job { return s.levelsJob(w.levels) }), itself})
	}
	if !s.req.Beside && len(gone) > 0 {
		steps = append(steps, step{func() (job, bool) {
			gone := s.withoutBack(gone)
			return s.pathsJob(gone), len(gone) > 0
		}, blameEntries(gone)})
	}
	// The root's attributes go along with any other list.
	if w.root && len(steps) == 0 {
		steps = append(steps, step{needed(s.rootJob), itself})
	}
	return steps
}

// needed is the job of a step that has something to do in any case.
func needed(f func() job) func() (job, bool) { return func() (job, bool) { return f(), true } }

// split tells entries that are there from those that are gone.
func split(entries []entry) (there, gone []entry) {
	for _, e := range entries {
		if e.state.gone() {
			gone = append(gone, e)
		} else {
			there = append(there, e)
		}
	}
	return there, gone
}

// do runs a job and finds out what it settled. It returns the changes to look at again.
func (s *session) do(ctx context.Context, j job, blame func(string) []string, last bool) ([]sdk.Change, error) {
	if err := s.checkRoot(); err != nil {
		return nil, err
	}
	m := s.first(j)
	if m.dry && !s.req.DryRun {
		return s.removeCounted(ctx, j, nil, blame, last)
	}
	out, err := s.run(ctx, j, m)
	if err != nil {
		return nil, err
	}
	for _, p := range out.stdout.created {
		if j.unfolded[p] && out.ran() { // otherwise it may hold what must go: a file that is not complete
			s.made[p] = true
		}
	}
	doubts := s.doubts(j, out, last)
	if s.req.DryRun {
		again, err := s.looked(out, blame, last)
		return append(doubts, again...), err
	}
	if s.req.Delete && !j.unfiltered && out.ran() && out.obstructed() {
		more, err := s.remove(ctx, j, out, blame, last)
		return append(doubts, more...), err
	}
	again, err := s.settle(ctx, j, out, blame, last)
	return append(doubts, again...), err
}

// first is how a job is run at first. Mostly that is all: a list seldom holds a directory that is gone and was not
// empty, unless the changes tell so, and a comparison seldom finds anything to delete.
func (s *session) first(j job) mode {
	limit := s.limit(j)
	switch {
	case s.req.DryRun:
		return mode{thorough: true, limit: noLimit, dry: true}
	case !j.compares && j.told <= len(j.gone) && (limit == noLimit || len(j.gone) <= limit):
		return mode{limit: noLimit}
	case limit == noLimit:
		return mode{thorough: true, limit: noLimit}
	case !j.compares && 2*j.told <= limit:
		// The changes of some may still be on their way.
		return mode{thorough: true, limit: 2 * j.told, expect: 2 * j.told}
	}
	// Near the limit all is counted first. Where there is something to send besides, that is done meanwhile; a run that
	// stops at its limit takes a tenth of a second more than others.
	if j.sent {
		return mode{thorough: true, limit: noLimit, dry: true}
	}
	return mode{thorough: true, limit: 0}
}

// limit is how many entries a run of a job may remove. Those that count already are free.
func (s *session) limit(j job) int {
	if s.req.MaxDelete == 0 {
		return noLimit
	}
	r := s.count.result
	allowed := s.req.MaxDelete + r.Created
	allowed -= min(allowed, r.Deleted)
	for _, p := range j.gone {
		if s.presumed[p] {
			allowed++
		}
	}
	return int(min(allowed, math.MaxInt32)) // as rsync counts
}

// remove repeats a job that had to leave something because removing it takes a thorough run, unless
// that would remove too much.
func (s *session) remove(ctx context.Context, j job, first *outcome, blame func(string) []string, last bool) ([]sdk.Change, error) {
	limit := s.limit(j)
	// What a comparison has skipped is an upper bound, together with the directories that it says are not
	// empty. Otherwise a dry run counts.
	expect := first.skipped() + first.stdout.keptCount
	if limit != noLimit && (!first.mode.thorough || expect > uint64(limit)) {
		return s.removeCounted(ctx, j, first, blame, last)
	}
	return s.removeUpTo(ctx, j, mode{thorough: true, limit: limit, expect: int(expect)}, blame, last)
}

// removeCounted does a job unless that would remove too much, by a dry run. First is what it was run for before, nil
// if it was not.
func (s *session) removeCounted(ctx context.Context, j job, first *outcome, blame func(string) []string, last bool) ([]sdk.Change, error) {
	if err := s.checkRoot(); err != nil {
		return nil, err
	}
	limit := s.limit(j)
	if j.told <= limit {
		s.prestart(ctx, j, mode{thorough: true, limit: limit})
	}
	count, err := s.run(ctx, j, mode{thorough: true, limit: noLimit, dry: true})
	if err != nil {
		return nil, err
	}
	if !count.ran() {
		return nil, s.failure(count)
	}
	if _, ok := s.lookAgain(count); ok && !last {
		return s.req.Changes, nil
	}
	switch {
	// Only a run that is no count tells what is the same.
	case count.exit.OK() && !count.stdout.differs() && s.asked == nil:
		return nil, nil
	case count.stdout.deleted > uint64(limit) && first == nil:
		// The rest, such as times of directories, is done all the same, or it would count as failed.
		if first, err = s.run(ctx, j, mode{thorough: true, limit: 0}); err != nil {
			return nil, err
		}
		doubts := s.doubts(j, first, last)
		more, err := s.removeCounted(ctx, j, first, blame, last)
		return append(doubts, more...), err
	case count.stdout.deleted > uint64(limit):
		return nil, s.blameDiffering(j, first, count, blame, true)
	}
	return s.removeUpTo(ctx, j, mode{thorough: true, limit: limit, expect: int(count.stdout.deleted)}, blame, last)
}

// removeUpTo runs a job for good.
func (s *session) removeUpTo(ctx context.Context, j job, m mode, blame func(string) []string, last bool) ([]sdk.Change, error) {
	if err := s.checkRoot(); err != nil {
		return nil, err
	}
	out, err := s.run(ctx, j, m)
	if err != nil {
		return nil, err
	}
	doubts := s.doubts(j, out, last)
	again, err := s.settle(ctx, j, out, blame, last)
	return append(doubts, again...), err
}

// settle finds out what a run has settled that was not a dry one.
func (s *session) settle(ctx context.Context, j job, out *outcome, blame func(string) []string, last bool) ([]sdk.Change, error) {
	if out.exit.OK() && !out.stuck {
		return nil, s.blameKept(out, blame)
	}
	if err := s.checkRoot(); err != nil {
		return nil, err
	}
	if out.stuck && !last {
		return s.req.Changes, nil // a file became a FIFO under its feet
	}
	if !out.ran() {
		return nil, s.failure(out)
	}
	// When deletions were left out, more than the vanished paths may differ.
	if again, ok := s.lookAgain(out); ok && !last && !out.stdout.deletionsOff && !out.stopped() {
		return again, nil
	}
	return nil, s.examine(ctx, j, out, blame)
}

// lookAgain returns the changes to look at again, if nothing went wrong in a run but that paths have vanished:
// those, and what was to be settled below them.
func (s *session) lookAgain(out *outcome) ([]sdk.Change, bool) {
	paths, ok := out.messages.vanished(s.places)
	if !ok {
		return nil, false
	}
	var again []sdk.Change
	gone := map[string]bool{}
	for _, p := range paths {
		if !gone[p] {
			again = append(again, sdk.Change{Path: p})
		}
		gone[p], s.vanished[p] = true, true
	}
	for _, c := range s.req.Changes {
		if coveredBy(gone, c.Path) {
			again = append(again, c)
		}
	}
	return again, true
}

// maxSample is how many of the paths that were left out are told.
const maxSample = 10

// withhold notes that what a dry run has found to be deleted is left out.
func (s *session) withhold(count *outcome) {
	w := &s.count.result.Withheld
	w.Count += count.stdout.deleted
	n := min(len(count.stdout.extra), maxSample-len(w.Sample))
	w.Sample = append(w.Sample, count.stdout.extra[:n]...)
}

// doubts returns the directories that a shallow run had to create, to be compared with their contents: a
// directory that is new at the source is reported as a whole, so these were lost at the destination, and
// what was in them too. Nor is it known what is in those that came back after they were looked for.
func (s *session) doubts(j job, out *outcome, last bool) []sdk.Change {
	if !j.shallow {
		return nil
	}
	why := map[string]string{}
	if len(out.stdout.dirs) > 0 {
		gone := make(map[string]bool, len(j.gone))
		for _, p := range j.gone {
			gone[p] = true
		}
		for _, p := range out.stdout.dirs {
			if gone[p] {
				why[p] = "this directory was gone and came back"
			}
		}
	}
	lost := false
	for _, p := range out.stdout.created {
		if !j.unfolded[p] {
			why[p] = "the destination had lost this directory"
			lost = true
		}
	}
	var doubts []sdk.Change
	for _, p := range slices.Sorted(maps.Keys(why)) {
		if len(doubts) > 0 && doubts[len(doubts)-1].Covers(p) {
			continue
		}
		if last || s.req.Beside {
			s.failed[p] = why[p] + ": it is compared with the next try"
		}
		doubts = append(doubts, sdk.Change{Path: p, Scope: sdk.ScopeSubtree})
	}
	if last || s.req.Beside {
		return nil
	}
	if lost {
		s.t.setKnown(s.peer(), false)
	}
	return doubts
}

// blameKept notes directories that rsync left because they are not empty. Such a directory is as it
// should be when it holds what the filter protects.
func (s *session) blameKept(out *outcome, blame func(string) []string) error {
	if !s.filter.Empty() || out.stdout.keptCount == 0 {
		return nil
	}
	const text = "the directory at the destination is not empty and could not be removed"
	if out.stdout.keptCount > uint64(len(out.stdout.kept)) {
		return fmt.Errorf("%d paths could not be removed; one is %q: %s", out.stdout.keptCount, out.stdout.kept[0], text)
	}
	for _, p := range out.stdout.kept {
		for _, changed := range blame(p) {
			s.failed[changed] = text
		}
	}
	return nil
}
