package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
)

func TestCollapse(t *testing.T) {
	tests := []struct {
		name  string
		limit int
		paths func(add func(string))
		want  string
	}{
		{"at the limit", 4, func(add func(string)) {
			add("a")
			add("d/b")
			add("d/c")
		}, "a d/b d/c"},
		{"past the limit", 4, func(add func(string)) {
			add("a")
			add("d/b")
			add("d/c")
			add("d/d")
		}, "a d/**"},
		{"the lowest place", 20, func(add func(string)) {
			add("a")
			for i := range 18 {
				add(fmt.Sprint("d/e/", i))
			}
			add("d/f")
		}, "a d/e/** d/f"},
		{"a flat root", 10, func(add func(string)) {
			for i := range 11 {
				add(fmt.Sprint(i))
			}
		}, "**"},
		{"one path deeper than the limit", 3, func(add func(string)) { add("a/b/c/d") }, "a/b/c/**"},
		{"the limit of one", 1, func(add func(string)) {
			add("a")
			add("b")
		}, "**"},
		{"many directories alike, each for itself", 100, func(add func(string)) {
			for i := range 25 {
				for j := range 3 {
					add(fmt.Sprintf("%c/%d", 'a'+i, j))
				}
			}
			add("z")
		}, "a/** b/** c/** d/** e/** f/** g/** h/** i/** j/** k/** l/** m/** n/** o/** p/** q/** r/** s/** t/** u/** v/** w/** x/** y/** z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config()
			cfg.Limit = tt.limit
			q := New(cfg)
			tt.paths(func(p string) { q.Add(t0, path(p)) })
			if got := q.pending(); got != tt.want {
				t.Errorf("pending %q, want %q", got, tt.want)
			}
			if n := q.tree.len(); n > tt.limit {
				t.Errorf("%d nodes, limit %d", n, tt.limit)
			}
		})
	}
}

func TestCollapseKeepsTimesAndFailures(t *testing.T) {
	cfg := config()
	cfg.Limit = 4
	q := New(cfg)
	q.Add(at(0), path("d/a"))
	q.Done(at(0), q.Take(at(0)), failures("d/a"))
	q.Add(at(1*ms), sdk.Change{Path: "d/b", Ops: sdk.OpWrite})
	q.Add(at(2*ms), sdk.Change{Path: "d/c", Ops: sdk.OpWrite})
	q.Add(at(3*ms), sdk.Change{Path: "d/d", Ops: sdk.OpWrite})
	if got, want := q.pending(), "d/**"; got != want {
		t.Fatalf("pending %q, want %q", got, want)
	}
	if next, _ := q.Next(); !next.Equal(at(21 * ms)) {
		t.Errorf("due +%v, want +21ms", next.Sub(t0))
	}
	b := q.Take(at(21 * ms))
	if !b.Oldest.Equal(t0) {
		t.Errorf("oldest +%v, want +0s", b.Oldest.Sub(t0))
	}
	list, _ := q.Failing(10)
	if len(list) != 1 || list[0].Path != "d" || list[0].Attempts != 1 || !list[0].Since.Equal(t0) {
		t.Errorf("failing: %+v", list)
	}
}

func TestCollapseKeepsTheLongerHistory(t *testing.T) {
	for _, tries := range [][]string{{"d/a", "d/b", "d/b"}, {"d/b", "d/b", "d/a"}} {
		cfg := config()
		cfg.Limit = 3
		q := New(cfg)
		for i, p := range tries {
			now := at(time.Duration(i) * ms)
			q.Add(now, path(p))
			q.Done(now, mustTake(t, q, now, p), failures(p))
		}
		q.Add(at(4*ms), path("d/c"))
		want := []Failure{{Path: "d", Text: "cannot send d/b", Since: t0, Next: at(4 * ms), Attempts: 2}}
		if list, _ := q.Failing(10); !cmp.Equal(want, list) {
			t.Errorf("%v: %s", tries, cmp.Diff(want, list))
		}
	}
}

func TestCollapseEndsAWait(t *testing.T) {
	cfg := config()
	cfg.Limit = 2
	q := New(cfg)
	q.Add(at(0), sdk.Change{Path: "d", Ops: sdk.OpWrite})
	q.Add(at(5*ms), sdk.Change{Path: "d/a", Ops: sdk.OpWrite})
	q.Add(at(5*ms), sdk.Change{Path: "d/b", Ops: sdk.OpWrite})
	q.Add(at(10*ms), sdk.Change{Path: "d", Ops: sdk.OpWrite})
	mustTake(t, q, at(20*ms), "d/**")
}

// A destination that is away while a million files change keeps the limit, and needs one batch.
func TestAwayForADay(t *testing.T) {
	q := New(Config{})
	for i := range 1_000_000 {
		now := at(time.Duration(i) * 80 * ms)
		q.Add(now, sdk.Change{Path: fmt.Sprintf("srv/%02d/%03d/%d", i%17, i%1009, i), Ops: sdk.OpClose})
		if n := q.tree.len(); n > 20_000 {
			t.Fatalf("%d nodes after %d changes", n, i)
		}
	}
	if s := q.Stats(); !s.Oldest.Equal(t0) {
		t.Errorf("oldest +%v, want +0s", s.Oldest.Sub(t0))
	}
	if got := q.pending(); strings.HasPrefix(got, "**") || len(got) == 0 {
		t.Errorf("pending %.100q, want less than everything", got)
	}
}
