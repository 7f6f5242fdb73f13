package rsync

import (
	"context"
	"slices"

	"github.com/filewatch/filewatch/sdk"
)

// The runs of a request go one after the other, but what takes the most time of small ones, to connect and to agree, can
// be done before: those that are certain to follow are started with the first one, and wait for their lists as a standby
// does. Until then they look at nothing but where the source is.

// longList is how many entries make a list of which the run takes so long that one that is started in vain does not matter.
const longList = 100

// prestartAll starts those of the steps after one with so many entries that nothing is on standby for. Whether the
// destination has a subtree is known only then; mostly, it is new.
func (s *session) prestartAll(ctx context.Context, steps []step, entries int) {
	for _, step := range steps {
		j, needed := step.job()
		if m := s.first(j); needed && !j.alike && (j.told > 0 || entries >= longList) && !j.suitsStandby(m) {
			s.prestart(ctx, j, m)
		}
	}
}

// prestart starts a run of a job. That was in vain if the job is run in another way in the end, or not at all.
func (s *session) prestart(ctx context.Context, j job, m mode) {
	if s.req.Beside || s.req.DryRun || j.list == nil || s.config.Timeout < minStandbyTimeout {
		return
	}
	b, err := s.startWaiting(ctx, s.leavingVanished(s.args(j, m), j), withSlash(s.req.Source))
	if err != nil {
		return // the run itself will tell
	}
	s.prestarted = append(s.prestarted, b)
}

// runPrestarted runs a job on the rsync that was started for it. It returns no outcome if there is none.
func (s *session) runPrestarted(ctx context.Context, args []string, j job, m mode) (*outcome, error) {
	i := slices.IndexFunc(s.prestarted, func(b *standby) bool { return s.fits(b, args) })
	if i < 0 {
		return nil, nil
	}
	b := s.prestarted[i]
	s.prestarted = slices.Delete(s.prestarted, i, i+1)
	sdk.Logger(ctx).Trace("run rsync that waits", "list", len(j.list))
	return s.give(ctx, b, j.list, j, m)
}

// dropPrestarted ends those that were started in vain.
func (s *session) dropPrestarted() {
	for _, b := range s.prestarted {
		b.drop()
	}
	s.prestarted = nil
}
