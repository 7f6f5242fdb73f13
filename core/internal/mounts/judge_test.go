package mounts

import (
	"testing"
)

// TestAutomount: a place where something is mounted when it is entered is no other place before, between
// and after.
func TestAutomount(t *testing.T) {
	var (
		now      map[string]identity
		waiting  = identity{id: 1, key: "autofs", what: "autofs", auto: true}
		server   = identity{id: 2, key: "nfs host:/x", what: "nfs (host:/x)", device: true}
		other    = identity{id: 3, key: "nfs host:/y", what: "nfs (host:/y)", device: true}
		newTrack = func() *Tracker {
			tr := &Tracker{root: "/r", system: system{
				below:   func(string) (map[string]identity, bool) { return now, true },
				changed: func() bool { return true },
				hides:   func(string, string) bool { return false },
				exists:  func(string, string) bool { return true },
			}}
			tr.Held()
			return tr
		}
		step = func(tr *Tracker, i *identity) int {
			now = map[string]identity{}
			if i != nil {
				now["a"] = *i
			}
			return len(tr.Held())
		}
	)
	now = map[string]identity{"a": waiting}
	tr := newTrack()
	for i, s := range []struct {
		now  *identity
		held int
	}{{&server, 0}, {&waiting, 0}, {&server, 0}, {&waiting, 0}, {&other, 1}, {&waiting, 0}, {nil, 1}, {&waiting, 0}, {&server, 0}} {
		if got := step(tr, s.now); got != s.held {
			t.Errorf("step %d: %d held, want %d", i, got, s.held)
		}
	}
}

// TestUnreadTable: a change of the mounts that could not be looked at, because the root was not there or did not
// answer, is looked at later.
func TestUnreadTable(t *testing.T) {
	var (
		disk          = identity{id: 1, key: "ext4", what: "ext4 (/dev/sdb)", device: true}
		now           = map[string]identity{"a": disk}
		ok, isChanged = true, false
	)
	tr := &Tracker{root: "/r", system: system{
		below:   func(string) (map[string]identity, bool) { return now, ok },
		changed: func() bool { was := isChanged; isChanged = false; return was },
		hides:   func(string, string) bool { return false },
		exists:  func(string, string) bool { return true },
	}}
	for i, step := range []struct {
		mounted, ok bool
		held        int
	}{{true, true, 0}, {false, false, 0}, {false, true, 1}, {true, false, 1}, {true, true, 0}} {
		before := len(now) > 0
		now, ok = map[string]identity{}, step.ok
		if step.mounted {
			now["a"] = disk
		}
		isChanged = before != step.mounted // told only once
		if got := len(tr.Held()); got != step.held {
			t.Errorf("step %d: %d held, want %d", i, got, step.held)
		}
	}
}
