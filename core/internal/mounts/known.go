package mounts

import (
	"cmp"
	"slices"
)

// Known is a mount that was synced, as it is remembered.
type Known struct {
	Path string // relative to the root
	ID   uint64 // of this very mount
	Key  string // of the file system
	What string // for people
	// Lasting is set when the file system outlives its mount, so that ID says nothing.
	Lasting bool
	// Waiting is set when it only waits for somebody to enter it, to mount what belongs there.
	Waiting bool
}

// Memory is what is known of an earlier run, and what remembers it for the next one. The zero Memory is that of
// a root that was never synced, and forgets.
type Memory struct {
	Known []Known
	// Boot is the System that Known is of.
	Boot string
	// Held are the reasons of its holds.
	Held []string
	// Remember, which may be nil, is called with what is to be remembered whenever that changes, one call at a
	// time. It must not call the Tracker.
	Remember func(boot string, known []Known, held []string)
}

// recall returns what was synced before. What does not outlive its mount ended with the system that it was
// mounted in.
func (m Memory) recall(boot string) map[string]identity {
	synced := make(map[string]identity)
	for _, k := range m.Known {
		switch {
		case m.Boot == boot:
			synced[k.Path] = identity{id: k.ID, key: k.Key, what: k.What, device: k.Lasting, auto: k.Waiting}
		case k.Lasting:
			synced[k.Path] = identity{key: k.Key, what: k.What, device: true}
		}
	}
	return synced
}

// remember tells what was synced, if that is news.
func (t *Tracker) remember() {
	if t.memory.Remember == nil {
		return
	}
	known := make([]Known, 0, len(t.synced))
	for p, i := range t.synced {
		known = append(known, Known{Path: p, ID: i.id, Key: i.key, What: i.what, Lasting: i.device, Waiting: i.auto})
	}
	slices.SortFunc(known, func(a, b Known) int { return cmp.Compare(a.Path, b.Path) })
	var held []string
	for _, h := range t.holds {
		held = append(held, h.Reason)
	}
	if t.memory.Boot == t.boot && slices.Equal(known, t.memory.Known) && slices.Equal(held, t.memory.Held) {
		return
	}
	t.memory.Boot, t.memory.Known, t.memory.Held = t.boot, known, held
	t.memory.Remember(t.boot, known, held)
}
