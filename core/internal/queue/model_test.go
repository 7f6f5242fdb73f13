package queue

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/filewatch/filewatch/sdk"
)

// universe is every path that exists for the model: three names, three levels, and the root. One name
// sorts between "b" and "b/".
var universe = func() []string {
	all := []string{""}
	for _, a := range []string{"a", "b", "b-"} {
		all = append(all, a)
		for _, b := range []string{"a", "b", "c"} {
			all = append(all, a+"/"+b, a+"/"+b+"/x", a+"/"+b+"/y")
		}
	}
	return all
}()

func under(p, dir string) bool { return subtree(dir).Covers(p) }

// model is the naive dirty set: for each path of the universe whether it is pending, and whether it is
// out. It knows nothing of entries, merging or collapsing.
type model struct {
	q       *Queue
	now     time.Time
	pending map[string]time.Time // since when
	out     map[string]time.Time
	batch   *Batch
	id      string
	attempt int
}

func (m *model) add(c sdk.Change) {
	m.q.Add(m.now, c)
	for _, p := range universe {
		if _, ok := m.pending[p]; c.Covers(p) && !ok {
			m.pending[p] = m.now
		}
	}
}

func (m *model) take(t *rapid.T) {
	b := m.q.Take(m.now)
	if b == nil {
		if next, ok := m.q.Next(); ok && !next.After(m.now) {
			t.Fatalf("nothing taken, due at +%v", next.Sub(m.now))
		}
		return
	}
	m.batch = b
	changes := b.Changes()
	bytes := 0
	for i, c := range changes {
		bytes += len(c.Path) + changeBytes
		for j, d := range changes {
			if i != j && c.Covers(d.Path) && d.From == "" {
				t.Fatalf("%v covers %v in one batch", c, d)
			}
		}
	}
	if len(changes) == 0 || len(changes) > m.q.cfg.BatchPaths || len(changes) > 1 && bytes > m.q.cfg.BatchBytes {
		t.Fatalf("batch of %d changes and %d bytes", len(changes), bytes)
	}
	if !slices.IsSortedFunc(changes, func(a, b sdk.Change) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	}) {
		t.Fatalf("not sorted: %v", changes)
	}
	if m.id != "" && (b.ID != m.id || b.Attempt != m.attempt+1) {
		t.Fatalf("ID %s attempt %d after %s attempt %d came back", b.ID, b.Attempt, m.id, m.attempt)
	}
	for _, p := range universe {
		if covered(changes, p) {
			since, ok := m.pending[p]
			// Unless it stays pending with a subtree in backoff, which knows since when.
			if ok && b.Oldest.After(since) && !covered(m.entries(), p) {
				t.Fatalf("batch says oldest %v, %q is dirty since %v", b.Oldest, p, since)
			}
			if !ok {
				since = m.now
			}
			m.out[p] = since
			delete(m.pending, p)
		}
	}
}

func (m *model) giveBack() {
	m.q.Return(m.now, m.batch)
	m.id, m.attempt = m.batch.ID, m.batch.Attempt
	m.retry(func(string) bool { return true })
}

func (m *model) split() {
	m.q.Split(m.now, m.batch)
	m.id = ""
	m.retry(func(string) bool { return true })
}

// hurry ends all waiting for writers, and makes nothing else due.
func (m *model) hurry(t *rapid.T) {
	before := map[*entry]entry{}
	for _, e := range m.q.due {
		before[e] = *e
	}
	m.q.Hurry(m.now)
	for _, e := range m.q.due {
		was := before[e]
		switch {
		case e.settling || was.settling && e.due > m.q.instant(m.now):
			t.Fatalf("%q still waits", e.path())
		case !was.settling && e.due != was.due:
			t.Fatalf("%q was not settling and is due at another time", e.path())
		}
	}
	if len(before) != len(m.q.due) {
		t.Fatalf("%d pending, %d before", len(m.q.due), len(before))
	}
}

func (m *model) done(failed []sdk.PathError) {
	changes := m.batch.Changes()
	m.q.Done(m.now, m.batch, failed)
	m.id = ""
	m.retry(func(p string) bool {
		return slices.ContainsFunc(failed, func(f sdk.PathError) bool { return under(p, f.Path) || under(f.Path, p) })
	})
	for _, f := range failed { // new to the queue unless it only stands for changes below it
		common := slices.ContainsFunc(changes, func(c sdk.Change) bool { return under(c.Path, f.Path) })
		if _, ok := m.pending[f.Path]; !ok && !common {
			m.pending[f.Path] = m.now
		}
	}
}

// retry makes those paths that were out pending again that are still in doubt.
func (m *model) retry(doubt func(string) bool) {
	for p, since := range m.out {
		if now, ok := m.pending[p]; doubt(p) && (!ok || since.Before(now)) {
			m.pending[p] = since
		}
	}
	m.out = map[string]time.Time{}
	m.batch = nil
}

func covered(changes []sdk.Change, p string) bool {
	return slices.ContainsFunc(changes, func(c sdk.Change) bool { return c.Covers(p) })
}

// entries returns what is pending in the queue.
func (m *model) entries() []sdk.Change {
	var changes []sdk.Change
	for _, e := range m.q.due {
		changes = append(changes, e.change())
	}
	return changes
}

// check compares the queue with the model.
func (m *model) check(t *rapid.T) {
	changes := m.entries()
	stats := m.q.Stats()
	for p, since := range m.pending {
		if !covered(changes, p) {
			t.Fatalf("%q is lost; pending: %q", p, m.q.pending())
		}
		if stats.Oldest.After(since) {
			t.Fatalf("oldest %v, %q is dirty since %v", stats.Oldest, p, since)
		}
	}
	unconfirmed := m.q.Unconfirmed()
	for _, dirty := range []map[string]time.Time{m.pending, m.out} {
		for p := range dirty {
			if !covered(unconfirmed, p) {
				t.Fatalf("%q is dirty and not among the unconfirmed %v", p, unconfirmed)
			}
		}
	}
	if m.q.Empty() != (len(unconfirmed) == 0) {
		t.Fatalf("empty %v with %v unconfirmed", m.q.Empty(), unconfirmed)
	}
	if m.q.Empty() && (len(m.pending) > 0 || len(m.out) > 0) {
		t.Fatal("empty with something dirty")
	}
	if n := m.q.tree.len(); n > m.q.cfg.Limit {
		t.Fatalf("%d nodes, limit %d", n, m.q.cfg.Limit)
	}
	checkStructure(t, m.q)
}

// checkStructure verifies what must hold between tree and schedule.
func checkStructure(t interface{ Fatalf(string, ...any) }, q *Queue) {
	entries, nodes := 0, 0
	var walk func(n *node) int
	walk = func(n *node) int {
		size := 1
		nodes++
		if e := n.entry; e != nil {
			entries++
			if e.node != n || q.due[e.pos] != e {
				t.Fatalf("%q: entry out of place", n.path)
			}
		} else if n.child == nil && n.parent != nil {
			t.Fatalf("%q: needless node", n.path)
		}
		for c := n.child; c != nil; c = c.next {
			if c.parent != n || c.next != nil && c.next.prev != c || q.tree.nodes[c.path] != c || parent(c.path) != n.path {
				t.Fatalf("%q: broken links", c.path)
			}
			size += walk(c)
		}
		if size != n.size {
			t.Fatalf("%q: size %d, counted %d", n.path, n.size, size)
		}
		return size
	}
	walk(q.tree.root)
	if entries != len(q.due) || nodes != 1+len(q.tree.nodes) {
		t.Fatalf("%d entries, %d scheduled; %d nodes, %d by path", entries, len(q.due), nodes, 1+len(q.tree.nodes))
	}
}

func drawModel(t *rapid.T, limits *rapid.Generator[int]) *model {
	return &model{
		q: New(Config{
			Settle:     20 * ms,
			MaxDelay:   100 * ms,
			Limit:      limits.Draw(t, "limit"),
			BatchPaths: rapid.IntRange(1, 8).Draw(t, "batch paths"),
			BatchBytes: rapid.IntRange(1, 200).Draw(t, "batch bytes"),
			RetryMin:   rapid.SampledFrom([]time.Duration{30 * ms, time.Second}).Draw(t, "retry"),
			Rand:       func() float64 { return 0.5 },
		}),
		now:     t0,
		pending: map[string]time.Time{},
		out:     map[string]time.Time{},
	}
}

func (m *model) actions() map[string]func(*rapid.T) {
	paths := rapid.SampledFrom(universe)
	change := rapid.Custom(func(t *rapid.T) sdk.Change {
		c := sdk.Change{Path: paths.Draw(t, "path"), Ops: sdk.Op(rapid.IntRange(0, 63).Draw(t, "ops"))}
		if rapid.IntRange(0, 4).Draw(t, "scope") == 0 {
			c.Scope = sdk.ScopeSubtree
		}
		return c
	})
	return map[string]func(*rapid.T){
		"": m.check,
		"add": func(t *rapid.T) {
			for range rapid.IntRange(1, 5).Draw(t, "count") {
				m.add(change.Draw(t, "change"))
			}
		},
		"move": func(t *rapid.T) {
			from, to := paths.Draw(t, "from"), change.Draw(t, "to")
			to.Ops, to.From = movedHere, from
			m.add(sdk.Change{Path: from, Ops: movedAway})
			m.add(to)
		},
		"wait": func(t *rapid.T) {
			m.now = m.now.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "ms")) * ms)
		},
		"take": func(t *rapid.T) {
			if m.batch == nil {
				m.take(t)
			}
		},
		"confirm": func(t *rapid.T) {
			if m.batch != nil {
				m.done(nil)
			}
		},
		"fail": func(t *rapid.T) {
			if m.batch != nil {
				m.done(failures(rapid.SliceOfN(paths, 1, 6).Draw(t, "failed")...))
			}
		},
		"return": func(t *rapid.T) {
			if m.batch != nil {
				m.giveBack()
			}
		},
		"split": func(t *rapid.T) {
			if m.batch != nil {
				m.split()
			}
		},
		"hurry": m.hurry,
	}
}

// Whatever happens in whatever order, what is dirty is pending or out, and once faults stop all of
// it is confirmed.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t, rapid.SampledFrom([]int{1, 2, 5, 10, 20, 1000}))
		t.Repeat(m.actions())
		for range 1000 {
			if m.batch != nil {
				m.done(nil)
				m.check(t)
			}
			next, ok := m.q.Next()
			if !ok {
				break
			}
			if next.After(m.now) {
				m.now = next
			}
			m.take(t)
		}
		if !m.q.Empty() || len(m.pending) > 0 {
			t.Fatalf("not all confirmed: %q, %v", m.q.pending(), m.pending)
		}
	})
}

// Without failures and collapse the queue is empty exactly when all is confirmed, and nothing goes out
// that was not dirty.
func TestEmptyIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t, rapid.Just(1000))
		actions := m.actions()
		delete(actions, "fail")
		actions[""] = func(t *rapid.T) {
			m.check(t)
			if clean := len(m.pending) == 0 && len(m.out) == 0; clean != m.q.Empty() {
				t.Fatalf("empty %v, clean %v; pending %q", m.q.Empty(), clean, m.q.pending())
			}
			for _, e := range m.q.due {
				for _, p := range universe {
					if _, ok := m.pending[p]; e.change().Covers(p) && !ok {
						t.Fatalf("%v is pending, %q is not dirty", e.change(), p)
					}
				}
			}
		}
		t.Repeat(actions)
	})
}

// A change that is not being written can be taken at once, one that is no later than MaxDelay after it
// was first written, whatever else is pending.
func TestNothingWaitsTooLong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := New(Config{Settle: 20 * ms, MaxDelay: 100 * ms, Limit: 10})
		now := t0
		latest := map[string]time.Time{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 15).Draw(t, "ms")) * ms)
			c := sdk.Change{
				Path: rapid.SampledFrom(universe).Draw(t, "path"),
				Ops:  rapid.SampledFrom([]sdk.Op{0, sdk.OpWrite, sdk.OpWrite, sdk.OpCreate, sdk.OpClose, sdk.OpWrite | sdk.OpClose}).Draw(t, "ops"),
			}
			q.Add(now, c)
			by := now
			if waits(c) {
				by = now.Add(100 * ms)
			}
			if old, ok := latest[c.Path]; !ok || by.Before(old) {
				latest[c.Path] = by
			}
			b := q.Take(now)
			for p, by := range latest {
				switch {
				case b != nil && covered(b.Changes(), p):
					delete(latest, p)
				case !by.After(now):
					t.Fatalf("%q was due by +%v and is not taken at +%v", p, by.Sub(t0), now.Sub(t0))
				}
			}
			if b != nil {
				q.Done(now, b, nil)
			}
		}
	})
}

func FuzzPaths(f *testing.F) {
	f.Add("a/b", "a", "a/b/c", "", uint8(3))
	f.Add("/", "//", "a/", "/a", uint8(0))
	f.Add("a-", "a/x", "a", "\xff/\n", uint8(0xff))
	f.Fuzz(func(t *testing.T, a, b, c, failed string, bits uint8) {
		q := New(Config{Limit: 1 + int(bits>>4)})
		var added []sdk.Change
		for i, p := range []string{a, b, c} {
			added = append(added, sdk.Change{Path: p, Scope: sdk.Scope(bits >> i & 1)})
			q.Add(t0, added[i])
			checkStructure(t, q)
		}
		batch := q.Take(t0)
		for _, c := range added {
			if !covered(batch.Changes(), c.Path) {
				t.Errorf("%q is not in the batch", c.Path)
			}
		}
		q.Done(t0, batch, failures(failed))
		checkStructure(t, q)
		var pending []sdk.Change
		for _, e := range q.due {
			pending = append(pending, e.change())
		}
		for _, c := range batch.Changes() {
			if (under(c.Path, failed) || under(failed, c.Path)) && !covered(pending, c.Path) {
				t.Errorf("%q failed and %q is confirmed", failed, c.Path)
			}
		}
		q.Done(t0, q.Take(t0.Add(time.Minute)), nil)
		if !q.Empty() {
			t.Errorf("left: %q", q.pending())
		}
	})
}
