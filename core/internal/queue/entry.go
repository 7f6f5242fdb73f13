package queue

import "github.com/filewatch/filewatch/sdk"

// entry is a path or subtree that is not confirmed.
type entry struct {
	node     *node    // where it is pending; while it is out, only node.path means something
	first    instant  // became dirty
	due      instant  // to be sent from then on
	from     instant  // first change of the write it waits for, when settling
	seq      uint64   // order of scheduling
	pos      int      // index in the schedule, -1 when not in it
	fail     *failure // its last try failed
	scope    sdk.Scope
	ops      sdk.Op
	settling bool // due moves with each further write
	tried    bool // was in a batch that came back
	blurred  bool // what the destination has under this name may not be what it had when this became dirty

	// origin is the entry of the name under which the destination has what is here now: e itself until it is
	// moved away or something else comes here, nil when there is none or nobody knows. See rename.go.
	origin *entry
	came   string // the former name of what was last moved here
	left   string // where what was here was last moved to; "" when something else may be here since
	heir   *entry // of which e is, or was, the origin
}

func (e *entry) path() string { return e.node.path }

func (e *entry) change() sdk.Change {
	return sdk.Change{Path: e.path(), Scope: e.scope, Ops: e.ops}
}

// wait has e wait, from now on, for what may follow at once.
func (e *entry) wait(now instant, c Config) {
	e.from = now
	e.settling = true
	e.due = now + instant(min(c.Settle, c.MaxDelay))
}

// covers reports whether s, at or above the path of e, makes e needless: s will be sent no later than e
// would be, or can be, and e has no history to keep.
func (s *entry) covers(e *entry, now instant) bool {
	return s.scope == sdk.ScopeSubtree && e.fail == nil && (s.due <= max(e.due, now) || s.settling && s.fail == nil)
}

// happened adds what was seen of the path since.
func (e *entry) happened(ops sdk.Op) {
	if e.ops == 0 || ops == 0 {
		e.ops = 0 // nobody knows what has happened, then
		return
	}
	e.ops |= ops
}

// merge adds x, a change of the same path.
func (e *entry) merge(x *entry, now, maxDelay instant) {
	e.follow(x)
	e.scope = max(e.scope, x.scope)
	e.happened(x.ops)
	e.first = min(e.first, x.first)
	e.tried = e.tried || x.tried
	e.fail = e.fail.join(x.fail)
	switch {
	case x.settling && e.settling: // one more write
		e.due = min(x.due, e.from+maxDelay)
	case x.settling: // a first write, which hastens a retry and delays nothing
		if x.due < e.due {
			e.due, e.from, e.settling = x.due, x.from, true
		}
	case x.due <= now || x.due < e.due:
		e.due = min(e.due, x.due)
		e.settling = false
	}
}

// schedule is a heap of the pending entries: the first one due on top, of equals the one that came
// first.
type schedule []*entry

func (s schedule) Len() int { return len(s) }

func (s schedule) Less(i, j int) bool {
	if s[i].due != s[j].due {
		return s[i].due < s[j].due
	}
	return s[i].seq < s[j].seq
}

func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].pos, s[j].pos = i, j
}

// Push implements heap.Interface.
func (s *schedule) Push(x any) {
	e := x.(*entry)
	e.pos = len(*s)
	*s = append(*s, e)
}

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	e := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	e.pos = -1
	return e
}
