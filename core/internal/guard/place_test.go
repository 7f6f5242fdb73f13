package guard

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

// sights is a Looker that sees what the test wants.
type sights struct {
	seen   Identity // zero = there is nothing
	err    error
	points []Path
}

func (s *sights) Look(string, func(string, bool) bool) (Sight, error) {
	if s.err == nil && !s.seen.known() {
		return Sight{}, fs.ErrNotExist
	}
	return Sight{Identity: s.seen}, s.err
}

func (s *sights) Mounted(point Path) bool {
	for _, p := range s.points {
		if p == point {
			return true
		}
	}
	return false
}

func TestPlace(t *testing.T) {
	root := Identity{Type: "ext4", Inode: 7, Born: 1, Mount: Mount{Point: "/", Source: "/dev/sda"}}
	disk := Identity{Type: "xfs", Inode: 7, Born: 2, Mount: Mount{Point: "/mnt/a b", Source: "/dev/sdb"}}
	other := Identity{Type: "xfs", Inode: 7, Born: 3, Mount: Mount{Point: "/mnt/a b", Source: "/dev/sdc"}}
	both := []Path{"/", "/mnt/a b"}
	look := &sights{}
	p := &Place{path: "/mnt/a b/dir", look: look}
	for _, step := range []struct {
		name          string
		sights        sights
		changed, away bool
	}{
		{"nothing yet", sights{Identity{}, nil, both}, false, false},
		{"made by the first transfer", sights{disk, nil, both}, false, false},
		{"the same", sights{disk, nil, both}, false, false},
		{"unreadable", sights{Identity{}, syscall.EACCES, both}, false, false},
		{"unmounted", sights{root, nil, []Path{"/"}}, false, true},
		{"unmounted, and nothing there", sights{Identity{}, nil, []Path{"/"}}, false, true},
		{"back", sights{disk, nil, both}, false, false},
		{"unmounted", sights{root, nil, []Path{"/"}}, false, true},
		{"another disk", sights{other, nil, both}, true, false},
		{"removed", sights{Identity{}, nil, both}, true, false},
		{"made again", sights{other, nil, both}, false, false},
	} {
		*look = step.sights
		away := p.Away()
		changed, err := p.Check()
		if changed != step.changed || (err != nil) != step.away || (away != nil) != step.away {
			t.Errorf("%s: changed %v, %v, away: %v", step.name, changed, err, away)
		}
		if err != nil && (!strings.Contains(err.Error(), "`mount '/mnt/a b'`") || !strings.Contains(err.Error(), "/dev/sdb")) {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	var elsewhere *Place
	if changed, err := elsewhere.Check(); changed || err != nil || elsewhere.Away() != nil {
		t.Errorf("another machine: %v, %v", changed, err)
	}
}
