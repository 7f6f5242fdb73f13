package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// The runs of a request are started before the first one is through.
func TestRunsAreStartedBefore(t *testing.T) {
	t.Parallel()
	many := make([]string, longList)
	for i := range many {
		many[i] = fmt.Sprint("many/", i)
	}
	gone := append(paths("new"), paths("gone/1", "gone/2", "gone")...)
	there := append(subtrees("many"), subtrees("again")...)
	for _, tt := range []struct {
		name     string
		changes  []sdk.Change
		limit    uint64
		withheld uint64
		want     string // begin and end of each run, in this order
	}{
		{"told", gone, 0, 0, "bbee"},
		{"near the limit", gone, 4, 0, "bbebee"},
		{"above the limit", gone, 1, 3, "bbeebebe"},
		{"subtree that was there", there, 0, 0, "bbee"},
		{"the same with a limit", there, 50, 0, "bbebee"},
		{"few entries", append(paths("new"), subtrees("again")...), 0, 0, "bebe"},
		{"new subtree", subtrees("fresh"), 0, 0, "be"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := local(t)
			f.config().Standby = 0
			f.force(allCaps)
			f.write(f.src, "gone/1", "gone/2", "again/1", "again/2", "stays")
			f.sync(subtrees("")...)
			f.must(os.RemoveAll(filepath.Join(f.src, "gone")))
			f.must(os.Remove(filepath.Join(f.src, "again/1")))
			f.write(f.src, append(many, "new", "fresh/x", "again/3")...)
			// None goes on before those that are to begin with it have.
			together := len(tt.want) - len(strings.TrimLeft(tt.want, "b"))
			lines := f.runs(fmt.Sprintf(`for i in $(seq 100); do [ $(wc -l <"$log") -lt %d ] || break; sleep 0.05; done; `, together))
			f.req.MaxDelete = tt.limit
			res := f.sync(tt.changes...)
			got := ""
			for _, line := range lines() {
				if line != "end" {
					line = "begin"
				}
				got += line[:1]
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if res.Withheld.Count != tt.withheld {
				t.Errorf("%+v", res)
			}
			for _, c := range tt.changes {
				_, err := os.Lstat(filepath.Join(f.src, c.Path))
				if stays := err == nil || tt.withheld > 0; f.exists(c.Path) != stays {
					t.Errorf("%s at the destination: %v, want %v", c.Path, !stays, stays)
				}
			}
			if subtree := tt.changes[len(tt.changes)-1].Path == "again"; f.exists("again/1") == subtree {
				t.Error("again/1 is to go with its subtree, and with nothing else")
			}
		})
	}
}

// Of those that were started in vain nothing is left, and nothing of what they wait for is done.
func TestStartedInVain(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f := d.make(t)
			f.config().Standby = 0
			f.req.MaxDelete = 1000
			f.write(f.src, "old")
			f.sync(subtrees("")...)
			for i := range longList {
				f.write(f.src, fmt.Sprint("new/", i))
			}
			runs := f.countRuns()
			f.sync(subtrees("new")...)
			if n := runs(); n != 2 {
				t.Errorf("%d runs were started, want the one of the list and one in vain", n)
			}
			f.equal(tree.Options{})
			eventually(t, "no rsync is left", func() bool { return len(f.atDestination()) == 0 })
		})
	}
}

// Where a session more is refused, a run that was to be started before is a matter of its time.
func TestStartedBeforeIsRefused(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		f, _ := remote(t, sshd.Config{Lines: []string{fmt.Sprint("MaxSessions ", n+1)}})
		f.write(f.src, "gone/1", "gone/2", "stays")
		f.sync(subtrees("")...)
		f.must(os.RemoveAll(filepath.Join(f.src, "gone")))
		f.write(f.src, "new")
		if res := f.sync(append(paths("new"), paths("gone/1", "gone/2", "gone")...)...); res.Deleted != 3 || res.Created != 1 {
			t.Errorf("%d sessions: %+v", n+1, res)
		}
		f.equal(tree.Options{})
	}
}
