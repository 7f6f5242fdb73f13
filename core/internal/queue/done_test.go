package queue

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
)

func TestDone(t *testing.T) {
	tests := []struct {
		name    string
		batch   string
		failed  string // paths; "." is the root
		pending string
		failing string
	}{
		{"all confirmed", "a b/**", "", "", ""},
		{"one of three", "a b c", "b", "b", "b"},
		{"named twice", "a b c", "b b", "b", "b"},
		{"a subtree itself", "a b/**", "b", "b/**", "b"},
		{"a common parent", "a d/a d/b/c d/s/**", "d", "d/a d/b/c d/s/**", "d/a d/b/c d/s"},
		{"the root", "a d/**", ".", "a d/**", "a d"},
		{"below a subtree", "a d/**", "d/x/y", "d d/x d/x/y/**", "d/x/y"},
		{"below the root's subtree", "**", "x/y", ". x x/y/**", "x/y"},
		{"two below a subtree", "d/**", "d/x/y d/x/z", "d d/x d/x/y/** d/x/z/**", "d/x/y d/x/z"},
		{"a subtree and below it", "d/**", "d d/x", "d/**", "d"},
		{"too many below a subtree", "d/**", "d/1 d/2 d/3 d/4", "d/**", "d"},
		{"below a path: its removal is in doubt", "d e", "d/x", "d d/x/**", "d/x"},
		{"a path below a path", "d d/x", "d/x", "d d/x", "d/x"},
		{"a common parent below a path", "d d/x/y", "d/x", "d d/x/y", "d/x/y"},
		{"too many below a subtree below a path", "a a/d/**", "a/d/1 a/d/2 a/d/3 a/d/4", "a a/d/**", "a/d"},
		{"far below a path", "d d/x/y/z", "d/x/y/z", "d d/x/y/z", "d/x/y/z"},
		{"below a subtree below a path", ". a/b/**", "a/b/c/d", ". a/b a/b/c a/b/c/d/**", "a/b/c/d"},
		{"many below a path", "d", "d/1 d/2 d/3 d/4", "d d/1/** d/2/** d/3/** d/4/**", "d d/1 d/2 d/3 d/4"},
		{"elsewhere", "a", "z/y", "z/y/**", "z/y"},
		{"elsewhere, beside the root itself", ". a", "z", ". z/**", "z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := New(config())
			for _, c := range parse(tt.batch) {
				q.Add(t0, c)
			}
			b := q.Take(t0)
			q.cfg.BatchPaths = 3 // what is too many
			var failed []sdk.PathError
			for _, c := range parse(tt.failed) {
				failed = append(failed, failures(c.Path)...)
			}
			q.Done(at(time.Second), b, failed)
			if got := q.pending(); got != tt.pending {
				t.Errorf("pending %q, want %q", got, tt.pending)
			}
			var failing []string
			list, _ := q.Failing(100)
			for _, f := range list {
				failing = append(failing, f.Path)
				if f.Text == "" || !f.Since.Equal(at(time.Second)) || f.Attempts != 1 {
					t.Errorf("failing %+v", f)
				}
			}
			if got := strings.Join(failing, " "); got != tt.failing {
				t.Errorf("failing %q, want %q", got, tt.failing)
			}
			if tt.failed == "" {
				return
			}
			if b := q.Take(at(6*time.Second - 1)); b != nil {
				t.Errorf("%q taken before the backoff ended", show(b.Changes()))
			}
			q.cfg.BatchPaths = 100
			q.Done(at(7*time.Second), q.Take(at(6*time.Second)), nil)
			if !q.Empty() {
				t.Errorf("left after a good try: %q", q.pending())
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	for _, jitter := range []float64{0, 0.5, 0.999999} {
		cfg := config()
		cfg.Rand = func() float64 { return jitter }
		q := New(cfg)
		q.Add(t0, path("f"))
		now := t0
		for i, want := range []float64{5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800, 1800} {
			q.Done(now, q.Take(now), failures("f"))
			next, _ := q.Next()
			got := next.Sub(now).Seconds()
			if want *= 0.8 + 0.4*jitter; math.Abs(got-want) > 1e-6 {
				t.Errorf("jitter %v, failure %d: %v s, want %v s", jitter, i+1, got, want)
			}
			now = next
		}
	}
}

func TestBackoffEndsWithAChange(t *testing.T) {
	tests := []struct {
		name string
		c    sdk.Change
		want time.Duration // after the change
	}{
		{"attributes", sdk.Change{Path: "d/f", Ops: sdk.OpAttrib}, 0},
		{"closed", sdk.Change{Path: "d/f", Ops: sdk.OpClose}, 0},
		{"being written", sdk.Change{Path: "d/f", Ops: sdk.OpWrite}, 20 * ms},
		{"a subtree above", subtree("d"), 0},
		{"the root's subtree", subtree(""), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := New(config())
			q.Add(t0, path("d/f"))
			q.Done(at(0), q.Take(at(0)), failures("d/f"))
			q.Add(at(time.Second), tt.c)
			next, _ := q.Next()
			if got := next.Sub(at(time.Second)); got != tt.want {
				t.Fatalf("due %v after the change, want %v", got, tt.want)
			}
			b := q.Take(next)
			want := []Failure{{Path: "d/f", Text: "cannot send d/f", Since: t0, Attempts: 1}}
			if got, _ := q.Failing(10); !cmp.Equal(want, got) {
				t.Errorf("while it is tried: %s", cmp.Diff(want, got))
			}
			q.Done(at(2*time.Second), b, failures("d/f"))
			want = []Failure{{Path: "d/f", Text: "cannot send d/f", Since: t0, Next: at(12 * time.Second), Attempts: 2}}
			if got, _ := q.Failing(10); !cmp.Equal(want, got) {
				t.Errorf("after it failed again: %s", cmp.Diff(want, got))
			}
			q.Done(at(time.Hour), q.Take(at(time.Hour)), nil)
			if !q.Empty() {
				t.Errorf("left: %q", q.pending())
			}
			if got, n := q.Failing(10); len(got) != 0 || n != 0 {
				t.Errorf("still failing: %v", got)
			}
		})
	}
}

func TestSubtreeInBackoff(t *testing.T) {
	q := New(config())
	q.Add(t0, subtree("d"))
	q.Done(t0, q.Take(t0), failures("d"))

	q.Add(at(time.Second), path("d/f"))
	q.Add(at(time.Second), subtree("d/s"))
	q.Add(at(time.Second), path("d/s/x"))
	b := mustTake(t, q, at(time.Second), "d/f d/s/**")
	q.Done(at(time.Second), b, failures("d/f"))

	q.Add(at(2*time.Second), sdk.Change{Path: "d/w", Ops: sdk.OpWrite})
	if got, want := q.pending(), "d/** d/f d/w"; got != want {
		t.Fatalf("pending %q, want %q", got, want)
	}
	b = mustTake(t, q, at(5*time.Second), "d/**") // at the end of its backoff with all below it
	if !b.Oldest.Equal(t0) {
		t.Errorf("oldest +%v, want +0s", b.Oldest.Sub(t0))
	}
	if got, n := q.Failing(10); n != 2 {
		t.Errorf("failing: %+v; want d and d/f", got)
	}

	q.Return(at(6*time.Second), b)
	if got, want := q.pending(), "d/** d/f"; got != want {
		t.Fatalf("pending %q, want %q", got, want)
	}
	b = mustTake(t, q, at(6*time.Second), "d/**")
	q.Done(at(6*time.Second), b, failures("d/f"))
	if got, want := q.pending(), "d d/f/**"; got != want {
		t.Fatalf("pending %q, want %q", got, want)
	}
	if got, _ := q.Failing(10); len(got) != 1 || got[0].Attempts != 2 || !got[0].Since.Equal(at(time.Second)) {
		t.Errorf("failing: %+v; want the second failure since +1s", got)
	}
}

func TestFailedSubtreeKeepsWhatFailedBelowIt(t *testing.T) {
	q := New(config())
	q.Add(t0, path("d/f"))
	q.Done(t0, q.Take(t0), failures("d/f"))
	q.Add(at(time.Second), subtree("d"))
	q.Done(at(time.Second), mustTake(t, q, at(time.Second), "d/**"), failures("d"))
	if got, want := q.pending(), "d/** d/f"; got != want {
		t.Fatalf("pending %q, want %q", got, want)
	}
}

// Both the subtree and what failed below it are due: what is left of them is as old as the older.
func TestAgeOfWhatFailedBelowASubtree(t *testing.T) {
	q := New(config())
	q.Add(t0, subtree("d"))
	q.Done(t0, q.Take(t0), failures("d"))
	q.Add(at(time.Second), path("d/f"))
	q.Done(at(time.Second), q.Take(at(time.Second)), failures("d/f"))
	q.Add(at(2*time.Second), subtree("d"))
	q.Add(at(2*time.Second), subtree(""))
	q.Done(at(3*time.Second), mustTake(t, q, at(2*time.Second), "**"), failures("d/x"))
	if s := q.Stats(); !s.Oldest.Equal(t0) {
		t.Errorf("oldest +%v, want +0s", s.Oldest.Sub(t0))
	}
}

func TestAgeIsThatOfTheChangeThatFailed(t *testing.T) {
	q := New(config())
	q.Add(at(0), path("a"))
	q.Add(at(5*ms), subtree("d"))
	q.Done(at(6*ms), q.Take(at(5*ms)), failures("d/x"))
	if s := q.Stats(); !s.Oldest.Equal(at(5 * ms)) {
		t.Errorf("oldest +%v, want +5ms", s.Oldest.Sub(t0))
	}
}

// A path that is still being written does not put off the retry of its last failed try.
func TestWriteDoesNotDelayARetry(t *testing.T) {
	q := New(Config{Settle: time.Hour, MaxDelay: time.Hour, Rand: func() float64 { return 0.5 }})
	q.Add(t0, path("f"))
	b := q.Take(t0)
	q.Add(at(ms), sdk.Change{Path: "f", Ops: sdk.OpWrite})
	q.Done(t0, b, failures("f"))
	mustTake(t, q, at(5*time.Second), "f")
}

// A directory that fails for itself does not follow the shorter backoff of what is in it.
func TestFailingDirectoryKeepsItsBackoff(t *testing.T) {
	q := New(config())
	q.Add(t0, path("d"))
	q.Done(t0, q.Take(t0), failures("d"))
	q.Add(t0, path("d"))
	q.Add(t0, path("d/x"))
	q.Done(t0, mustTake(t, q, t0, "d d/x"), failures("d", "d/x"))
	mustTake(t, q, at(5*time.Second), "d/x")
}

// A directory above a common parent is tried with the first of what failed below.
func TestDirectoryFollowsTheFirstRetry(t *testing.T) {
	for _, old := range []string{"d/x/a", "d/x/b"} {
		q := New(config())
		q.Add(t0, path(old))
		q.Done(t0, q.Take(t0), failures(old))
		for _, c := range parse("d d/x/a d/x/b") {
			q.Add(t0, c)
		}
		q.Done(t0, mustTake(t, q, t0, "d d/x/a d/x/b"), failures("d/x"))
		fresh := map[string]string{"d/x/a": "d/x/b", "d/x/b": "d/x/a"}[old]
		mustTake(t, q, at(5*time.Second), "d "+fresh)
	}
}

func TestReasonIsTheNearest(t *testing.T) {
	q := New(config())
	q.Add(t0, path("d/a"))
	q.Add(t0, path("d/b"))
	q.Add(t0, path("e"))
	q.Done(t0, q.Take(t0), failures("", "d", "d/a"))
	list, _ := q.Failing(10)
	var got []string
	for _, f := range list {
		got = append(got, f.Path+": "+f.Text)
	}
	want := []string{"d/a: cannot send d/a", "d/b: cannot send d", "e: cannot send "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFailedTogetherIsTriedTogether(t *testing.T) {
	cfg := config()
	n := 0
	cfg.Rand = func() float64 { n++; return float64(n%10) / 10 }
	q := New(cfg)
	for i := range 100 {
		q.Add(t0, path(fmt.Sprint(i)))
	}
	b := q.Take(t0)
	var failed []string
	for _, c := range b.Changes() {
		failed = append(failed, c.Path)
	}
	slices.Reverse(failed)
	q.Done(t0, b, failures(failed...))
	next, _ := q.Next()
	if b := q.Take(next); len(b.Changes()) != 100 {
		t.Errorf("%d in one batch, want 100", len(b.Changes()))
	}
}

func TestFailing(t *testing.T) {
	q := New(config())
	var failed []string
	for i := range 20 {
		p := fmt.Sprintf("%02d", i)
		q.Add(t0, path(p))
		failed = append(failed, p)
	}
	q.Done(t0, q.Take(t0), failures(failed...))
	list, total := q.Failing(3)
	if total != 20 || len(list) != 3 || list[0].Path != "00" || list[2].Path != "02" {
		t.Errorf("%d of %d: %+v", len(list), total, list)
	}

	q = New(config())
	q.Add(t0, path("f"))
	q.Done(t0, q.Take(t0), []sdk.PathError{{Path: "f", Text: strings.Repeat("ä", maxText)}})
	list, _ = q.Failing(1)
	if got := list[0].Text; len(got) > maxText+3 || !strings.HasSuffix(got, "ä…") {
		t.Errorf("text of %d bytes ends in %q", len(got), got[len(got)-5:])
	}
}
