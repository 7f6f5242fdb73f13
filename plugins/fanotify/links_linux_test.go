package fanotify

import (
	"fmt"
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

// TestLinkRaces holds up the events until it is all over. The unlucky moments in which a name is looked at
// too late are then certain.
func TestLinkRaces(t *testing.T) {
	for _, tc := range watchertest.LinkRaces {
		t.Run(tc.Name, func(t *testing.T) {
			watchertest.LeakCheck(t)
			a := watchertest.NewArea(t)
			a.Mkdir("d", "cache")
			a.Write("f", "other", "d/other")
			a.Link("f", "d/g")
			gate := watchertest.NewGate()
			tn := quick()
			tn.beforeRead = gate.Pass
			w := watchertest.Start(t, tn.watch, a.Root, "cache/", "*.skip")
			gate.Close()
			tc.Op(a)
			gate.Open()
			w.Prove()
			w.Covered(0, tc.Want...)
			watchertest.Must(t, w.End())
		})
	}
}

// TestLinksOfMany: each name of many files is found.
func TestLinksOfMany(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	var want []string
	for i := range 300 {
		one, other := fmt.Sprint("f", i), fmt.Sprint("d/", i)
		a.Write(one)
		a.Link(one, other)
		want = append(want, other)
	}
	w := watchertest.Start(t, quick().watch, a.Root)
	for i := range 300 {
		a.Write(fmt.Sprint("f", i))
		a.Remove(fmt.Sprint("f", i))
	}
	w.Prove()
	w.Covered(0, want...)
}
