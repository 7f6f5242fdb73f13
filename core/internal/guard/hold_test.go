package guard

import (
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDeletionsText(t *testing.T) {
	for _, test := range []struct {
		limit           Limit
		entries, recent uint64
		excess          Excess
		want            string
	}{
		{
			Limit{Percent: 50}, 1000, 0,
			Excess{Sync: "site", Destination: "web1:/srv/site", Count: 600, Sample: []string{"a", "b c\n", "\xff", "d"}},
			`600 entries would be deleted at web1:/srv/site; max_delete (50% of 1,000) allows 500 within 10 minutes; they are not deleted; ` +
				`a, "b c\n", "\xff" and 597 more; ` + "`filewatch verify site` lists them, `filewatch approve site` deletes them",
		},
		{
			Limit{Count: 1500}, 0, 1500,
			Excess{Sync: "s", Destination: "/b", Count: 1},
			"1 entry would be deleted at /b; max_delete (1500) allows 1,500 within 10 minutes, of which 1,500 are used; they are not deleted; " +
				"`filewatch verify s` lists them, `filewatch approve s` deletes them",
		},
	} {
		b := NewBudget(test.limit)
		b.Allowed(noon, test.entries, true)
		b.Deleted(noon, test.recent, 0)
		b.Allowed(noon, test.entries-min(test.entries, test.recent), true)
		h := b.Hold(noon, test.excess)
		if diff := cmp.Diff(test.want, h.Error()); diff != "" {
			t.Error(diff)
		}
		if err := h.Valid(); err != nil {
			t.Error(err)
		}
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		var back Hold
		if err := json.Unmarshal(text, &back); err != nil || !cmp.Equal(back, *h) {
			t.Errorf("%s reads as %+v, %v", text, back, err)
		}
	}
	many := NewBudget(Limit{}).Hold(noon, Excess{Count: 1 << 40, Sample: make([]string, 50)})
	if len(many.Sample) != maxSample {
		t.Errorf("a sample of %d", len(many.Sample))
	}
}

func TestInvalidHold(t *testing.T) {
	for _, h := range []Hold{
		{},
		{Kind: "other", Since: noon},
		{Kind: Missing},
		{Kind: Deletions, Since: noon, Sample: make([]Path, maxSample+1)},
	} {
		if h.Valid() == nil {
			t.Errorf("valid: %+v", h)
		}
	}
}

// faulty is a source that cannot be looked at.
type faulty struct{ err error }

func (f faulty) Look(root string, _ func(string, bool) bool) (Sight, error) {
	return Sight{Empty: true}, &fs.PathError{Op: "readdirent", Path: root, Err: f.err}
}

func (faulty) Mounted(Path) bool { return true }

func TestUnreadable(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.EACCES, syscall.ESTALE, syscall.ENOTCONN, syscall.EMFILE} {
		remembered := Source{Path: "/srv/a b", Identity: Identity{Inode: 7}, Entries: 1}
		g := Open(Config{Sync: "s", Root: "/srv/a b", Known: remembered, Look: faulty{errno}, Remember: func(s Source) { remembered = s }})
		hold, ok := errors.AsType[*Hold](g.Check())
		if !ok || hold.Kind != Unreadable || !strings.HasPrefix(hold.Error(), "source /srv/a b cannot be read: "+errno.Error()+"; nothing is sent") ||
			!strings.Contains(hold.Remedy, "`ls '/srv/a b'`") || hold.Lost != "at the last comparison it had 1 entry" {
			t.Errorf("%v: %v", errno, hold)
		}
		if remembered.Identity.Inode != 7 || remembered.MayBeEmpty {
			t.Errorf("%v: remembered %+v", errno, remembered)
		}
		if g.Hold() != hold {
			t.Errorf("%v: Hold tells %v", errno, g.Hold())
		}
		if _, err := g.Approve(); err == nil {
			t.Errorf("%v: approved", errno)
		}
	}
}
