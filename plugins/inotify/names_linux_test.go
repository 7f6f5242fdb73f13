package inotify

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/hardlink"
	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
)

// TestNames checks when everything that has changed lately has to be searched for. A step is an event: what
// happens, to which name and with which cookie; or "look", at all names, or "end", of the round of looks.
func TestNames(t *testing.T) {
	masks := map[string]uint32{
		"create": unix.IN_CREATE, "write": unix.IN_MODIFY, "close": unix.IN_CLOSE_WRITE, "chmod": unix.IN_ATTRIB,
		"delete": unix.IN_DELETE, "from": unix.IN_MOVED_FROM, "to": unix.IN_MOVED_TO,
	}
	for _, tc := range []struct {
		steps  string
		search bool
	}{
		{"create a; write a; close a; look; end; delete a", false},
		{"create a; delete a; look; end", false},
		{"delete a; create a; look; end", false},
		{"create a; from a 1; write b", false},
		{"create a; from a 1; to b 1; delete b", false},
		{"to a 1; delete a", false},
		{"write a; close a; delete a", true},
		{"write a; look; delete a", true},
		{"write a; look; write a; end; delete a", true},
		{"chmod a; delete a", true},
		{"write a; delete b", false},
		// The usual way to save a file.
		{"create t; write t; close t; from t 1; to a 1; look; end; delete a; delete t", false},
		{"create t; write t; close t; look; end; from t 1; to a 1; look; end", false},
		{"create t; write t; look; from t 1; end; to a 1; look; end", false},
		{"write t; from t 1; to a 1; delete t; look; end", false},
		{"write t; from t 1; to a 1; delete a", true},
		{"write t; from t 1; to a 1; look; delete a", true},
		{"write a; from t 1; to a 1", true},
		{"write a; look; from t 1; to a 1", true},
		{"write a; look; end; from t 1; to a 1", false},
		{"write t; look; write t; from t 1; to a 1; look; end; delete a", false},
		// Where to it went is not known.
		{"write a; from a 1; write b", true},
		{"write a; from a 1; from b 2; to c 2", true},
		{"write a; from a 1; to c 2", true},
		{"from a 1; write b; look; end", false},
		{"from a 1; to b 1; write b; look; end", false},
		// An exchange.
		{"write a; write b; from a 1; to b 1; from b 2; to a 2", true},
		{"write a; from a 1; to b 1; from b 2; to a 2; look; end", false},
	} {
		s := newNames(hardlink.New(t.TempDir(), nil, watchertest.NewRecorder()))
		n := &node{}
		for step := range strings.SplitSeq(tc.steps, "; ") {
			var what string
			e := event{}
			_, _ = fmt.Sscan(step, &what, &e.name, &e.cookie)
			e.mask = masks[what]
			switch what {
			case "look":
				s.begun++
				for name, q := range s.asked[n] {
					if s.seen[n] == nil {
						s.seen[n] = make(map[string]question)
					}
					s.seen[n][name] = q
				}
				delete(s.asked, n)
			case "end":
				s.end()
			default:
				s.before(e)
				s.handle(n, e)
			}
		}
		if got := s.links.Due() > 0; got != tc.search {
			t.Errorf("%s: search %t, want %t", tc.steps, got, tc.search)
		}
		if left := len(s.asked[n]) + len(s.seen[n]); left != s.count {
			t.Errorf("%s: %d names are left, counted %d", tc.steps, left, s.count)
		}
	}
}

// TestNamesAreBounded: too many names are given up, and everything that has changed is searched for.
func TestNamesAreBounded(t *testing.T) {
	s := newNames(hardlink.New(t.TempDir(), nil, watchertest.NewRecorder()))
	nodes := []*node{{}, {}, {}}
	for i := range 3*maxNames + 5 {
		if due := s.links.Due() > 0; due != (i > maxNames) {
			t.Fatalf("after %d names: search %t", i, due)
		}
		s.ask(nodes[i%3], fmt.Sprint(i), question{s.since, sdk.OpWrite})
		if left := len(s.asked[nodes[0]]) + len(s.asked[nodes[1]]) + len(s.asked[nodes[2]]); left != s.count || left > maxNames {
			t.Fatalf("%d names are left, counted %d", left, s.count)
		}
	}
	s.reset()
	if len(s.asked)+s.count > 0 {
		t.Errorf("%d names are left", s.count)
	}
}
