package core

import (
	"reflect"
	"slices"
	"strings"

	"github.com/filewatch/filewatch/core/internal/plan"
)

// Changes are the names of the sync blocks that are not the same in two plans.
type Changes struct{ Added, Changed, Removed []string }

// Reload carries out another plan from now on, with the plugins that it names. Blocks that are the same go on
// untouched. One that is gone or changed ends as at the end of Run; only when all of those have ended, those
// that are changed or new begin, so that nothing is ever written by two. Run must have been called; when it
// ends meanwhile, nothing begins any more.
func (e *Engine) Reload(p *plan.Plan, plugins Plugins) Changes {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	<-e.begun
	e.slots.Set(p.MaxTransfers)
	before := e.blocks()
	next, changes := compare(before, p)
	var gone []*syncBlock
	for _, b := range before {
		if !slices.Contains(next, b) {
			gone = append(gone, b)
		}
	}
	log, done := e.config.Logger, "configuration reloaded: no sync has changed"
	if told := changes.told(); len(told) > 0 {
		log.Info("the configuration has changed", told...)
		done = "configuration reloaded"
	}
	for _, b := range gone {
		b.term.end()
	}
	former := budgets{}
	for _, b := range gone {
		b.term.wait()
		for to, budget := range b.budgets {
			former[to] = budget
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return changes
	}
	for _, b := range gone {
		if slices.Contains(changes.Removed, b.plan.Name) {
			b.record.Close()
		}
	}
	for i, s := range p.Syncs {
		if next[i] == nil {
			next[i] = e.block(p, s, plugins, former)
			e.start(next[i])
		}
	}
	e.syncs = next
	log.Info(done)
	return changes
}

// compare returns the blocks that are the same in a plan, each in its place there, nil for the others.
func compare(before []*syncBlock, p *plan.Plan) (same []*syncBlock, changes Changes) {
	same = make([]*syncBlock, len(p.Syncs))
	for i, s := range p.Syncs {
		at := slices.IndexFunc(before, func(b *syncBlock) bool { return b.plan.Name == s.Name })
		switch {
		case at < 0:
			changes.Added = append(changes.Added, s.Name)
		case reflect.DeepEqual(before[at].plan, s) && slices.Equal(before[at].files, p.Files(s)):
			same[i] = before[at]
		default:
			changes.Changed = append(changes.Changed, s.Name)
		}
	}
	for _, b := range before {
		if !slices.ContainsFunc(p.Syncs, func(s plan.Sync) bool { return s.Name == b.plan.Name }) {
			changes.Removed = append(changes.Removed, b.plan.Name)
		}
	}
	return same, changes
}

// told returns the changes for a line of the log, nothing when there are none.
func (c Changes) told() (args []any) {
	for _, kind := range []struct {
		key   string
		names []string
	}{{"added", c.Added}, {"changed", c.Changed}, {"removed", c.Removed}} {
		if len(kind.names) > 0 {
			args = append(args, kind.key, strings.Join(kind.names, ", "))
		}
	}
	return args
}
