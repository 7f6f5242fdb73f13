package queue

import (
	"container/heap"

	"github.com/filewatch/filewatch/sdk"
)

// What a transfer of changed files of 300 bytes takes, in a tree of 100,000 of them in 100 directories, by a list of
// the files and by comparing their directories (rsync 3.5.0, both sides on one machine):
//
//	changed                   list     subtrees
//	1                         32 ms    45 ms
//	1,000, all of 1           67 ms    79 ms
//	10,000, all of 10         0.40 s   0.31 s
//	10,000 in 100             0.46 s   0.98 s
//	20,000 in 100             0.90 s   1.37 s
//	50,000 in 100             2.0 s    1.9 s
//	100,000, all of 100       4.1 s    3.2 s
//
// So a list is never slower by more than a third, and a subtree is much slower where few of many entries have
// changed: paths are listed as long as memory allows. Past that those directories are collapsed first in which most
// has changed, where it costs least, or gains.

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
