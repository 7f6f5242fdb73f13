package queue

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(d time.Duration) time.Time { return t0.Add(d) }

const ms = time.Millisecond

// config is the one of most tests: settle 20 ms, at most 100 ms, no jitter.
func config() Config {
	return Config{Settle: 20 * ms, MaxDelay: 100 * ms, Rand: func() float64 { return 0.5 }}
}

func path(p string) sdk.Change    { return sdk.Change{Path: p} }
func subtree(p string) sdk.Change { return sdk.Change{Path: p, Scope: sdk.ScopeSubtree} }

func failures(paths ...string) []sdk.PathError {
	var fs []sdk.PathError
	for _, p := range paths {
		fs = append(fs, sdk.PathError{Path: p, Text: "cannot send " + p})
	}
	return fs
}

// show writes changes as "a b/**": ** marks a subtree.
func show(changes []sdk.Change) string {
	var words []string
	for _, c := range changes {
		w := c.Path
		if c.Scope == sdk.ScopeSubtree {
			w = strings.TrimPrefix(w+"/**", "/")
		}
		if w == "" {
			w = "."
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// parse is the inverse of show.
func parse(s string) []sdk.Change {
	var changes []sdk.Change
	for w := range strings.FieldsSeq(s) {
		p, sub := strings.CutSuffix(w, "**")
		c := path(strings.TrimSuffix(p, "/"))
		if sub {
			c.Scope = sdk.ScopeSubtree
		}
		if w == "." {
			c.Path = ""
		}
		changes = append(changes, c)
	}
	return changes
}

// pending shows what is pending, in the order of the paths.
func (q *Queue) pending() string {
	entries := slices.Clone(q.due)
	slices.SortFunc(entries, byPath)
	var changes []sdk.Change
	for _, e := range entries {
		changes = append(changes, e.change())
	}
	return show(changes)
}

func mustTake(t *testing.T, q *Queue, now time.Time, want string) *Batch {
	t.Helper()
	b := q.Take(now)
	if b == nil {
		t.Fatalf("nothing to take at +%v, want %q", now.Sub(t0), want)
	}
	if got := show(b.Changes()); got != want {
		t.Fatalf("batch %q, want %q", got, want)
	}
	return b
}

func TestDue(t *testing.T) {
	type step struct {
		at  time.Duration
		ops sdk.Op
	}
	const (
		create = sdk.OpCreate
		write  = sdk.OpWrite
		closed = sdk.OpClose
		attrib = sdk.OpAttrib
		gone   = sdk.OpRemove
		moved  = sdk.OpCreate | sdk.OpRename
		away   = sdk.OpRemove | sdk.OpRename
	)
	tests := []struct {
		name  string
		steps []step
		want  time.Duration
	}{
		{"nothing known", []step{{0, 0}}, 0},
		{"created", []step{{0, create}}, 20 * ms},
		{"written", []step{{0, write}}, 20 * ms},
		{"written and closed at once", []step{{0, create | write | closed}}, 0},
		{"attributes", []step{{0, attrib}}, 0},
		{"removed", []step{{0, gone}}, 0},
		{"created and removed", []step{{0, create | gone}}, 0},
		{"moved here", []step{{0, moved}}, 0},
		{"moved away", []step{{0, away}}, 20 * ms},
		{"moved away, and something moved here", []step{{0, away}, {7 * ms, moved}}, 7 * ms},
		{"written and moved away", []step{{0, closed}, {1 * ms, away}}, 0},
		{"each write extends", []step{{0, create}, {15 * ms, write}, {30 * ms, write}}, 50 * ms},
		{"never past the longest wait", []step{{0, write}, {19 * ms, write}, {38 * ms, write}, {57 * ms, write}, {76 * ms, write}, {95 * ms, write}}, 100 * ms},
		{"a close ends the wait", []step{{0, create}, {5 * ms, write}, {7 * ms, closed}}, 7 * ms},
		{"a removal ends the wait", []step{{0, create}, {7 * ms, gone}}, 7 * ms},
		{"a close after the wait is not later", []step{{0, write}, {30 * ms, closed}}, 20 * ms},
		{"a write after the wait extends", []step{{0, write}, {30 * ms, write}}, 50 * ms},
		{"attributes leave a wait as it is", []step{{0, create}, {5 * ms, attrib}}, 20 * ms},
		{"attributes, then a write", []step{{0, attrib}, {5 * ms, write}}, 0},
		{"a write after a close delays nothing", []step{{0, write | closed}, {5 * ms, write}}, 0},
		{"a write after the close that ended the wait", []step{{0, write}, {5 * ms, closed}, {6 * ms, write}}, 5 * ms},
		{"a write after a late close", []step{{0, write}, {30 * ms, closed}, {31 * ms, write}}, 20 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := New(config())
			for _, s := range tt.steps {
				q.Add(at(s.at), sdk.Change{Path: "f", Ops: s.ops})
			}
			next, ok := q.Next()
			if got := next.Sub(t0); !ok || got != tt.want {
				t.Fatalf("due at +%v, %v; want +%v", got, ok, tt.want)
			}
			if b := q.Take(next.Add(-1)); b != nil {
				t.Errorf("taken before it is due")
			}
			if b := mustTake(t, q, next, "f"); !b.Oldest.Equal(t0) {
				t.Errorf("oldest +%v, want +0s", b.Oldest.Sub(t0))
			}
			if _, ok := q.Next(); ok {
				t.Error("something is due after all was taken")
			}
		})
	}
}

func TestDueWithoutSettle(t *testing.T) {
	for _, cfg := range []Config{{}, {Settle: time.Second}, {MaxDelay: time.Second}} {
		q := New(cfg)
		q.Add(t0, sdk.Change{Path: "f", Ops: sdk.OpWrite})
		mustTake(t, q, t0, "f")
	}
}

// The two halves of a rename come one after the other; at the destination neither name is missing.
func TestRenameNeverLeavesNeitherName(t *testing.T) {
	q := New(config())
	q.Add(at(0), sdk.Change{Path: "old", Ops: sdk.OpRemove | sdk.OpRename})
	if b := q.Take(at(0)); b != nil {
		t.Fatalf("took %q before the new name is known", show(b.Changes()))
	}
	q.Add(at(1*ms), sdk.Change{Path: "new", Ops: sdk.OpCreate | sdk.OpRename})
	b := mustTake(t, q, at(1*ms), "new")
	q.Done(at(5*ms), b, nil)
	mustTake(t, q, at(20*ms), "old")
}

func TestWriterHoldsUpNobody(t *testing.T) {
	q := New(config())
	q.Add(at(0), sdk.Change{Path: "log", Ops: sdk.OpWrite})
	q.Add(at(1*ms), sdk.Change{Path: "f", Ops: sdk.OpClose})
	b := mustTake(t, q, at(1*ms), "f")
	q.Add(at(15*ms), sdk.Change{Path: "log", Ops: sdk.OpWrite})
	q.Done(at(16*ms), b, nil)
	if b := q.Take(at(34 * ms)); b != nil {
		t.Fatalf("took %q early", show(b.Changes()))
	}
	b = mustTake(t, q, at(35*ms), "log")
	q.Add(at(36*ms), sdk.Change{Path: "log", Ops: sdk.OpWrite})
	q.Done(at(40*ms), b, nil)
	mustTake(t, q, at(56*ms), "log")
}

func TestMerge(t *testing.T) {
	tests := []struct{ add, want string }{
		{"f f", "f"},
		{"f f/**", "f/**"},
		{"f/** f", "f/**"},
		{"d/a d/b d/c/e d/**", "d/**"},
		{"d/** d/a d/b/c", "d/**"},
		{"d-e d/a d0 d/**", "d-e d/** d0"},
		{"d/** dd d-/x d", "d/** d-/x dd"},
		{"d d/a d/a/b", "d d/a d/a/b"},
		{". a", ". a"},
		{"a b/c . **", "**"},
		{"** a/b . c/**", "**"},
		{"a/b/** a/c/** a/**", "a/**"},
	}
	for _, tt := range tests {
		q := New(config())
		for _, c := range parse(tt.add) {
			q.Add(t0, c)
		}
		got := parse(mustTakeAny(t, q))
		want := parse(tt.want)
		if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.add, diff)
		}
		if n := q.tree.len(); n != 0 || q.tree.root.size != 1 || q.tree.root.child != nil {
			t.Errorf("%s: %d nodes left, size %d", tt.add, n, q.tree.root.size)
		}
	}
}

func mustTakeAny(t *testing.T, q *Queue) string {
	t.Helper()
	b := q.Take(t0)
	if b == nil {
		t.Fatal("nothing to take")
	}
	return show(b.Changes())
}

func sorted(changes []sdk.Change) []string {
	var words []string
	for _, c := range changes {
		words = append(words, show([]sdk.Change{c}))
	}
	slices.Sort(words)
	return words
}

func TestMergeKeepsOldestAndHints(t *testing.T) {
	q := New(config())
	q.Add(at(0), sdk.Change{Path: "d/f", Ops: sdk.OpCreate})
	q.Add(at(5*ms), sdk.Change{Path: "d/f", Ops: sdk.OpAttrib})
	q.Add(at(6*ms), sdk.Change{Path: "d/f", Ops: sdk.OpClose})
	b := q.Take(at(6 * ms))
	want := []sdk.Change{{Path: "d/f", Ops: sdk.OpCreate | sdk.OpAttrib | sdk.OpClose}}
	if diff := cmp.Diff(want, b.Changes()); diff != "" {
		t.Error(diff)
	}
	q.Return(at(7*ms), b)
	q.Add(at(8*ms), subtree("d"))
	b = mustTake(t, q, at(8*ms), "d/**")
	if !b.Oldest.Equal(t0) {
		t.Errorf("oldest +%v, want +0s", b.Oldest.Sub(t0))
	}
}

// What a pending subtree stands for at its own path adds to what was seen there.
func TestSubtreeKeepsHints(t *testing.T) {
	q := New(config())
	q.Add(t0, sdk.Change{Path: "f", Scope: sdk.ScopeSubtree, Ops: sdk.OpAttrib})
	q.Add(t0, sdk.Change{Path: "f", Ops: sdk.OpWrite | sdk.OpClose})
	if got, want := q.due[0].ops, sdk.OpAttrib|sdk.OpWrite|sdk.OpClose; len(q.due) != 1 || got != want {
		t.Errorf("%d entries, %v, want %v", len(q.due), got, want)
	}
	q.Add(t0, sdk.Change{Path: "f"})
	if got := q.due[0].ops; got != 0 {
		t.Errorf("%v, want none", got)
	}
}

func TestChangeDuringTransfer(t *testing.T) {
	for _, failed := range [][]sdk.PathError{nil, failures("f"), failures("g")} {
		q := New(config())
		q.Add(t0, path("f"))
		q.Add(t0, path("g"))
		b := mustTake(t, q, t0, "f g")
		q.Add(at(ms), path("f"))
		q.Done(at(2*ms), b, failed)
		if q.Empty() {
			t.Errorf("failed %v: empty with a change that was never sent", failed)
		}
		if _, failing := q.Failing(0); failing != len(failed) {
			t.Errorf("failed %v: %d failing", failed, failing)
		}
		mustTake(t, q, at(2*ms), "f") // at once, even if the transfer failed
	}
}

func TestReturn(t *testing.T) {
	q := New(config())
	q.Add(t0, path("a"))
	q.Add(t0, sdk.Change{Path: "w", Ops: sdk.OpWrite})
	b := mustTake(t, q, at(20*ms), "a w")
	if b.ID != "1" || b.Attempt != 1 {
		t.Errorf("ID %q, attempt %d", b.ID, b.Attempt)
	}
	q.Add(at(21*ms), path("c"))
	q.Return(at(30*ms), b)
	q.Add(at(30*ms), sdk.Change{Path: "w", Ops: sdk.OpWrite}) // which waited long enough
	if next, ok := q.Next(); !ok || next.After(at(30*ms)) {
		t.Errorf("next %v, %v; want it at once", next, ok)
	}
	b = mustTake(t, q, at(30*ms), "a c w")
	if b.ID != "1" || b.Attempt != 2 || !b.Oldest.Equal(t0) {
		t.Errorf("ID %q, attempt %d, oldest +%v; want the second try of 1", b.ID, b.Attempt, b.Oldest.Sub(t0))
	}
	q.Done(at(40*ms), b, nil)
	if !q.Empty() {
		t.Error("not empty")
	}
	q.Add(at(41*ms), path("a"))
	if b := q.Take(at(41 * ms)); b.ID != "2" || b.Attempt != 1 {
		t.Errorf("ID %q, attempt %d; want the first try of 2", b.ID, b.Attempt)
	}
}

// What has been tried is known to have been, whatever batch it is in the next time.
func TestAttemptOfWhatWasTried(t *testing.T) {
	q := New(config())
	q.Add(t0, path("a"))
	q.Add(t0, path("b"))
	q.Split(at(1*ms), mustTake(t, q, t0, "a b"))
	q.Add(at(1*ms), path("b"))
	for _, want := range []string{"a", "b"} {
		b := mustTake(t, q, at(2*ms), want)
		if b.Attempt < 2 {
			t.Errorf("attempt %d of %s", b.Attempt, want)
		}
		q.Done(at(2*ms), b, []sdk.PathError{{Path: want, Text: "no"}})
	}
	b := mustTake(t, q, at(time.Hour), "a b")
	if b.Attempt < 2 {
		t.Errorf("attempt %d of what failed", b.Attempt)
	}
	q.Done(at(time.Hour), b, nil)
	q.Add(at(2*time.Hour), path("a"))
	if b := mustTake(t, q, at(2*time.Hour), "a"); b.Attempt != 1 {
		t.Errorf("attempt %d after it was confirmed", b.Attempt)
	}
}

func TestUnconfirmed(t *testing.T) {
	q := New(config())
	q.Add(t0, path("a"))
	q.Add(t0, subtree("b"))
	q.Take(t0)
	q.Add(at(time.Second), path("a"))
	got := q.Unconfirmed()
	slices.SortFunc(got, func(x, y sdk.Change) int { return strings.Compare(x.Path, y.Path) })
	if show(got) != "a a b/**" {
		t.Errorf("got %q", show(got))
	}
}

func TestSuspect(t *testing.T) {
	q := New(config())
	q.Add(t0, path("a"))
	b := q.Take(t0)
	if b.Suspect() {
		t.Error("a path is suspect that never failed")
	}
	q.Done(t0, b, failures("a"))
	q.Add(at(time.Hour), path("b"))
	if b := mustTake(t, q, at(time.Hour), "a b"); !b.Suspect() {
		t.Error("a path that failed is not suspect")
	}
}

func TestHurry(t *testing.T) {
	q := New(config())
	q.Add(t0, sdk.Change{Path: "a", Ops: sdk.OpWrite})
	q.Add(t0, sdk.Change{Path: "b"})
	q.Done(t0, q.Take(t0), failures("b"))
	q.Hurry(t0)
	b := mustTake(t, q, t0, "a") // a path in backoff is not hurried: trying sooner does not mend it
	q.Done(t0, b, nil)
	if got := q.pending(); got != "b" {
		t.Errorf("pending %q", got)
	}
}

func TestSplitFindsWhatFailsAll(t *testing.T) {
	q := New(Config{})
	const n = 1000
	for i := range n {
		q.Add(t0, sdk.Change{Path: fmt.Sprintf("p%03d", i)})
	}
	tries, sent := 0, 0
	for now := t0; ; now = now.Add(time.Millisecond) {
		b := q.Take(now)
		if b == nil {
			break
		}
		tries++
		bad := slices.ContainsFunc(b.Changes(), func(c sdk.Change) bool { return c.Path == "p637" })
		switch {
		case bad && len(b.Changes()) == 1:
			q.Done(now, b, failures("p637"))
		case bad:
			q.Split(now, b)
		default:
			sent += len(b.Changes())
			q.Done(now, b, nil)
		}
	}
	if sent != n-1 || q.Empty() {
		t.Errorf("%d of %d sent", sent, n-1)
	}
	if tries > 40 {
		t.Errorf("%d tries", tries)
	}
	for i := range n {
		q.Add(at(time.Second), sdk.Change{Path: fmt.Sprintf("q%03d", i)})
	}
	batches := 0
	for b := q.Take(at(time.Second)); b != nil; b = q.Take(at(time.Second)) {
		batches++
		q.Done(at(time.Second), b, nil)
	}
	if batches > 12 {
		t.Errorf("%d batches afterwards: they do not grow again", batches)
	}
}

func TestBatchBounds(t *testing.T) {
	cfg := config()
	cfg.BatchPaths = 3
	cfg.BatchBytes = 2*(changeBytes+1) + changeBytes + 10
	q := New(cfg)
	for i, p := range []string{"z", "y", "x", "w", "a-long-one", "another-long-one", strings.Repeat("l", 300), "b"} {
		q.Add(at(time.Duration(i/4)*ms), path(p))
	}
	for _, want := range []string{"x y z", "a-long-one w", "another-long-one", strings.Repeat("l", 300), "b"} {
		q.Done(at(time.Second), mustTake(t, q, at(time.Second), want), nil)
	}
	if !q.Empty() {
		t.Error("not empty")
	}
}

func TestSubtreeTakesThePlaceOfWhatItAbsorbs(t *testing.T) {
	cfg := config()
	cfg.BatchPaths = 1
	q := New(cfg)
	q.Add(at(0), path("d/a"))
	q.Add(at(1*ms), path("b"))
	q.Add(at(2*ms), subtree("d"))
	mustTake(t, q, at(3*ms), "d/**")

	q = New(cfg)
	q.Add(at(1*ms), path("d/a"))
	b := mustTake(t, q, at(1*ms), "d/a")
	q.Add(at(2*ms), path("b"))
	q.Add(at(3*ms), subtree("d"))
	q.Return(at(4*ms), b)
	mustTake(t, q, at(4*ms), "d/**")
}

func TestOneBatchAtATime(t *testing.T) {
	q := New(config())
	q.Add(t0, path("a"))
	b := mustTake(t, q, t0, "a")
	mustPanic(t, "second Take", func() { q.Take(t0) })
	mustPanic(t, "Done of another batch", func() { q.Done(t0, &Batch{}, nil) })
	mustPanic(t, "Return of none", func() { q.Return(t0, nil) })
	q.Done(t0, b, nil)
	mustPanic(t, "second Done", func() { q.Done(t0, b, nil) })
	mustPanic(t, "Return after Done", func() { q.Return(t0, b) })
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", what)
		}
	}()
	f()
}

func TestChanged(t *testing.T) {
	q := New(config())
	fired := func() bool {
		select {
		case <-q.Changed():
			return true
		default:
			return false
		}
	}
	expect := func(what string, want bool) {
		t.Helper()
		if got := fired(); got != want {
			t.Errorf("%s: fired %v, want %v", what, got, want)
		}
	}
	expect("new", false)
	q.Add(at(0), sdk.Change{Path: "f", Ops: sdk.OpWrite})
	expect("first", true)
	q.Add(at(5*ms), sdk.Change{Path: "f", Ops: sdk.OpWrite})
	expect("later", false)
	q.Add(at(6*ms), sdk.Change{Path: "f", Ops: sdk.OpClose})
	expect("earlier", true)
	q.Add(at(7*ms), path("g"))
	expect("another after it", false)
	b := q.Take(at(7 * ms))
	expect("taken", false)
	q.Return(at(8*ms), b)
	expect("returned", true)
	b = q.Take(at(8 * ms))
	q.Done(at(9*ms), b, failures("f"))
	expect("failed", true)
	q.Add(at(10*ms), path("f"))
	expect("changed in backoff", true)
	q.Done(at(11*ms), q.Take(at(10*ms)), nil)
	expect("done", false)
}

func TestStats(t *testing.T) {
	q := New(config())
	if diff := cmp.Diff(Stats{}, q.Stats()); diff != "" || !q.Empty() {
		t.Error(diff)
	}
	q.Add(at(0), path("a"))
	q.Add(at(1*ms), path("b"))
	b := q.Take(at(1 * ms))
	q.Add(at(2*ms), path("b"))
	if diff := cmp.Diff(Stats{Pending: 1, Out: 2, Oldest: at(0)}, q.Stats()); diff != "" {
		t.Error(diff)
	}
	q.Done(at(3*ms), b, failures("a"))
	if diff := cmp.Diff(Stats{Pending: 2, Failing: 1, Oldest: at(0)}, q.Stats()); diff != "" {
		t.Error(diff)
	}
	q.Done(at(time.Hour), q.Take(at(time.Hour)), nil)
	if diff := cmp.Diff(Stats{}, q.Stats()); diff != "" || !q.Empty() {
		t.Error(diff)
	}
}

func TestHostileNames(t *testing.T) {
	names := []string{
		"a\nb", "a\tb", "-x", "#x", ";x", `"x"`, "*", "?[a]", `\`, " x ", strings.Repeat("n", 255), "\xff\xfe",
		"/", "//", "a/", "a//b", "/abs", ".", "..", "a/../b", "**",
	}
	q := New(config())
	for _, n := range names {
		q.Add(t0, path(n))
		q.Add(t0, path("d/"+n))
	}
	b := q.Take(t0)
	got := map[string]bool{}
	for _, c := range b.Changes() {
		got[c.Path] = true
	}
	for _, n := range names {
		if !got[n] || !got["d/"+n] {
			t.Errorf("%q is missing", n)
		}
	}
	q.Done(t0, b, []sdk.PathError{{Path: "d"}})
	if want := len(names); len(q.due) != want {
		t.Errorf("%d pending, want the %d below d", len(q.due), want)
	}
}

func ExampleQueue() {
	q := New(Config{Settle: 20 * ms, MaxDelay: time.Second})
	q.Add(t0, sdk.Change{Path: "etc/hosts", Ops: sdk.OpClose})
	b := q.Take(t0)
	fmt.Println(b.Changes()[0].Path)
	q.Done(t0, b, nil)
	fmt.Println(q.Empty())
	// Output:
	// etc/hosts
	// true
}
