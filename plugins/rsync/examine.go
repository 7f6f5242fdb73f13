package rsync

import (
	"context"
	"fmt"
	"slices"

	"github.com/filewatch/filewatch/sdk"
)

// examine finds out, after a partial failure, which paths still differ: with a dry run of the same
// job. Only paths that it is silent about are settled.
func (s *session) examine(ctx context.Context, j job, out *outcome, blame func(string) []string) error {
	check, err := s.run(ctx, j, mode{thorough: true, limit: noLimit, dry: true})
	if err != nil {
		return err
	}
	if !check.ran() {
		return s.failure(check)
	}
	return s.blameDiffering(j, out, check, blame, out.stopped())
}

// blameDiffering notes the paths that still differ after a run, as a dry run shows. Deletions are no such
// paths if they were left out on purpose.
func (s *session) blameDiffering(j job, out, check *outcome, blame func(string) []string, withhold bool) error {
	if err := s.checkRoot(); err != nil {
		return err
	}
	differs := check.stdout.paths
	if withhold {
		s.withhold(check)
	} else {
		differs = append(differs, check.stdout.extra...)
	}
	if s.filter.Empty() {
		differs = append(differs, check.stdout.kept...)
	}
	if len(differs) > maxPaths {
		return fmt.Errorf("more than %d paths could not be brought in step; one is %q: %s", maxPaths, differs[0], s.explain(differs[0], out, check))
	}
	if check.partial() {
		// What a dry run stumbles over it does not report as a difference.
		stumbled, ok := s.stumbled(check, blame)
		if !ok {
			return s.unattributed(out)
		}
		differs = append(differs, stumbled...)
	}
	s.blamePaths(differs, blame, out, check)
	if j.compares {
		s.blameDeletionsOff(out, check)
	}
	return nil
}

// looked notes what a dry run could not look at. It returns the changes to look at again.
func (s *session) looked(out *outcome, blame func(string) []string, last bool) ([]sdk.Change, error) {
	if err := s.checkRoot(); err != nil {
		return nil, err
	}
	switch {
	case !out.ran():
		return nil, s.failure(out)
	case out.exit.OK():
		return nil, nil
	}
	if again, ok := s.lookAgain(out); ok && !last {
		return again, nil
	}
	stumbled, ok := s.stumbled(out, blame)
	if !ok {
		return nil, s.unattributed(out)
	}
	s.blamePaths(stumbled, blame, out)
	s.blameDeletionsOff(out)
	return nil, nil
}

// blamePaths notes that paths are not in step.
func (s *session) blamePaths(paths []string, blame func(string) []string, outs ...*outcome) {
	for _, p := range paths {
		for _, changed := range blame(p) {
			if _, ok := s.failed[changed]; !ok {
				s.failed[changed] = s.explain(p, outs...)
			}
		}
	}
}

// blameDeletionsOff notes that nothing that was compared is settled if a run left out deletions.
func (s *session) blameDeletionsOff(outs ...*outcome) {
	if !slices.ContainsFunc(outs, func(o *outcome) bool { return o.stdout.deletionsOff }) {
		return
	}
	for _, c := range s.req.Changes {
		if _, ok := s.failed[c.Path]; !ok {
			s.failed[c.Path] = "deletions were left out, because a part of the source could not be read" + s.firstReason(outs[0])
		}
	}
}

// stumbled returns the paths that a run could not look at, and the changes below them. It reports
// false when it cannot tell.
func (s *session) stumbled(check *outcome, blame func(string) []string) ([]string, bool) {
	var list []string
	for _, msg := range check.messages.list {
		p, ok := s.places.relative(msg)
		if !ok {
			return nil, false
		}
		n := len(list)
		if len(blame(p)) > 0 {
			list = append(list, p)
		}
		for _, c := range s.req.Changes {
			if _, ok := below(p, c.Path); ok && p != "" {
				list = append(list, c.Path)
			}
		}
		if len(list) == n {
			return nil, false
		}
	}
	return list, len(list) > 0 && !check.messages.other
}

// firstReason returns ": " and what rsync said first, or "".
func (s *session) firstReason(out *outcome) string {
	for _, msg := range out.messages.list {
		if p, ok := s.places.relative(msg); ok {
			return fmt.Sprintf(": %s: %s", p, msg.text())
		}
	}
	return ""
}

// explain says why p differs.
func (s *session) explain(p string, outs ...*outcome) string {
	for _, out := range outs {
		text := out.messages.textFor(s.places, p)
		if text == textWay {
			switch {
			case !s.req.Delete:
				text += ", because delete is off"
			case s.count.result.Withheld.Count > 0:
				text += ", because more would be deleted than max_delete allows"
			case !s.filter.Empty():
				text += "; it may hold excluded files"
			}
		}
		if text != "" {
			return text
		}
	}
	return "it still differs after the transfer"
}
