package queue

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/filewatch/filewatch/sdk"
)

// What fails every batch that it is in is found by splitting: all else is confirmed, in a number of tries
// that grows with the number of such changes and not with that of the others.
func TestSplitConfirmsAllElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := New(Config{BatchPaths: 64})
		n := rapid.IntRange(1, 200).Draw(t, "changes")
		bad := map[string]bool{}
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 3).Draw(t, "bad") {
			bad[fmt.Sprint("p", i)] = true
		}
		for i := range n {
			q.Add(t0, sdk.Change{Path: fmt.Sprint("p", i)})
		}
		confirmed := map[string]bool{}
		tries := 0
		for b := q.Take(t0); b != nil; b = q.Take(t0) {
			tries++
			fails := false
			for _, c := range b.Changes() {
				fails = fails || bad[c.Path]
			}
			switch {
			case !fails:
				for _, c := range b.Changes() {
					confirmed[c.Path] = true
				}
				q.Done(t0, b, nil)
			case len(b.Changes()) > 1:
				q.Split(t0, b)
			default:
				q.Done(t0, b, failures(b.Changes()[0].Path))
			}
		}
		if len(confirmed) != n-len(bad) {
			t.Fatalf("%d confirmed of %d with %d bad", len(confirmed), n, len(bad))
		}
		if _, failing := q.Failing(0); failing != len(bad) {
			t.Fatalf("%d failing, want %d", failing, len(bad))
		}
		// Seven halvings from 64 to one, that one, and as many doublings back, for each.
		if limit := n/64 + 1 + 15*(len(bad)+1); tries > limit {
			t.Fatalf("%d tries for %d changes with %d bad, want at most %d", tries, n, len(bad), limit)
		}
	})
}
