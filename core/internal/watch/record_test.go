package watch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"

	"github.com/filewatch/filewatch/sdk"
)

func newRecorded() (*Root, *Record) {
	r := New(Config{Change: func(sdk.Change) {}, Logger: hclog.NewNullLogger()})
	return r, r.Record()
}

func TestRecord(t *testing.T) {
	for _, tt := range []struct {
		change      sdk.Change
		covers, not []string
	}{
		{sdk.Change{Path: "d/f", Ops: sdk.OpWrite | sdk.OpClose}, []string{"d/f"}, []string{"d", "d/g", "d/f/x", "d/ff", ""}},
		{sdk.Change{Path: "d/f", Ops: sdk.OpAttrib}, []string{"d/f"}, []string{"d", "d/f/x"}},
		// A directory that came or went is reported, what is in it is not; the times above it change.
		{sdk.Change{Path: "d/e", Ops: sdk.OpRemove}, []string{"d/e", "d/e/x/y", "d"}, []string{"d/f", "", "d/ee"}},
		{sdk.Change{Path: "e", Ops: sdk.OpCreate | sdk.OpRename}, []string{"e", "e/x", ""}, []string{"f"}},
		{sdk.Change{Path: "d", Scope: sdk.ScopeSubtree, Ops: sdk.OpWrite}, []string{"d", "d/e/f"}, []string{"", "e"}},
		{sdk.Change{Scope: sdk.ScopeSubtree}, []string{"", "d", "d/e"}, nil},
		{sdk.Change{Path: "d/e"}, []string{"d/e", "d/e/x", "d"}, []string{"d/f", ""}}, // tells nothing
	} {
		r, rec := newRecorded()
		r.change(tt.change)
		for _, p := range tt.covers {
			if !rec.Covers(p) {
				t.Errorf("%+v does not cover %q", tt.change, p)
			}
		}
		for _, p := range tt.not {
			if rec.Covers(p) {
				t.Errorf("%+v covers %q", tt.change, p)
			}
		}
	}
}

func TestRecordsAreApart(t *testing.T) {
	r, one := newRecorded()
	r.change(sdk.Change{Path: "a", Ops: sdk.OpWrite})
	two := r.Record()
	r.change(sdk.Change{Path: "b", Ops: sdk.OpWrite})
	if !one.Covers("a") || !one.Covers("b") || two.Covers("a") || !two.Covers("b") {
		t.Error("a record holds what is not its own")
	}
	one.Stop()
	r.change(sdk.Change{Path: "c", Ops: sdk.OpWrite})
	if one.Covers("a") || one.Covers("c") || !two.Covers("c") || len(r.records) != 1 {
		t.Error("a record goes on when it has ended")
	}
	r.Missed(2)
	r.Missed(1)
	if n := r.Status().Missed; n != 3 {
		t.Errorf("missed %d", n)
	}
}

// TestRecordIsBounded: past the bound everything that was reported is still covered.
func TestRecordIsBounded(t *testing.T) {
	r, rec := newRecorded()
	path := func(i int) string { return fmt.Sprintf("%d/%d/%d", i%7, i%1000, i) }
	for i := range 4 * maxRecorded {
		r.change(sdk.Change{Path: path(i), Ops: sdk.OpWrite})
		if len(rec.paths) > maxRecorded {
			t.Fatalf("%d paths", len(rec.paths))
		}
	}
	for i := range 4 * maxRecorded {
		if !rec.Covers(path(i)) {
			t.Fatalf("%q is not covered", path(i))
		}
	}
	if rec.Covers("other/x") {
		t.Error("covers what is far from any report")
	}
	for i := range 3 * maxRecorded {
		r.change(sdk.Change{Path: fmt.Sprint("top", i), Ops: sdk.OpWrite})
	}
	if !rec.Covers("anything") || len(rec.paths) > maxRecorded {
		t.Errorf("%d paths", len(rec.paths))
	}
}

// A record covers what a change covers, whatever came before.
func TestRecordCoversChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, rec := newRecorded()
		path := rapid.StringMatching(`|[ab](/[ab]){0,3}`)
		var all []sdk.Change
		for range rapid.IntRange(0, 10).Draw(t, "n") {
			c := sdk.Change{Path: path.Draw(t, "path"), Scope: sdk.Scope(rapid.IntRange(0, 1).Draw(t, "scope")), Ops: sdk.Op(rapid.IntRange(0, 63).Draw(t, "ops"))}
			all = append(all, c)
			r.change(c)
		}
		p := path.Draw(t, "asked")
		for _, c := range all {
			if c.Covers(p) && !rec.Covers(p) {
				t.Errorf("%q is covered by %+v", p, c)
			}
		}
	})
}

// The periodic comparison is no doubt: it is told apart, and is no report.
func TestPeriodicIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startFakes(t)
		w.main.Ready()
		w.take()
		told := 0
		r := New(Config{Watcher: newFake(), Rescan: time.Hour, Change: w.add, Periodic: func() { told++ }, Logger: hclog.NewNullLogger()})
		r.mu.Lock()
		r.unwatched = nil
		r.mu.Unlock()
		rec := r.Record()
		go r.rescan(t.Context())
		time.Sleep(10 * time.Hour)
		w.expect("by the time")
		if told < 7 || told > 14 || rec.Covers("a") {
			t.Errorf("told %d times", told)
		}
	})
}
