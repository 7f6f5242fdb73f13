package queue

import (
	"container/heap"

	"github.com/filewatch/filewatch/sdk"
)

// collapse merges paths into subtrees until the limit holds: there where most are close together, as
// low in the tree as frees a worthwhile part of it. Each round reads each node once or twice and frees
// at least one in 32, so the cost for each added path is bounded.
func (q *Queue) collapse() {
	for q.tree.len() > q.cfg.Limit {
		worth := max(2, q.cfg.Limit/16)
		n := q.tree.root
		heaviest, children := n.heaviest()
		for heaviest != nil && heaviest.size >= worth {
			n = heaviest
			heaviest, children = n.heaviest()
		}
		if 2*(1+children) > n.size {
			q.collapseAt(n)
			continue
		}
		for c := n.child; c != nil; c = c.next { // closer to what changed, and at least half goes
			if c.child != nil {
				q.collapseAt(c)
			}
		}
	}
}

// collapseAt makes the subtree of n stand for all that is pending at and below it.
func (q *Queue) collapseAt(n *node) {
	below := n.below()
	s := n.entry
	if s == nil {
		s = &entry{first: below[0].first, due: below[0].due}
		q.attach(n, s)
	}
	s.scope = sdk.ScopeSubtree
	s.settling = false
	for _, e := range below {
		s.first = min(s.first, e.first)
		s.due = min(s.due, e.due)
		s.fail = s.fail.join(e.fail)
		q.remove(e)
	}
	heap.Fix(&q.due, s.pos)
}
