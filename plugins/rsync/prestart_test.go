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
	many := make([]string, enough)
	for i := range many {
		many[i] = fmt.Sprint("many/", i)
	}
	for _, tt := range []struct {
		name    string
		changes []sdk.Change
		limit   uint64
		want    string // begin and end of each run, in this order
	}{
		{"told", append(paths("new"), paths("gone/1", "gone/2", "gone")...), 0, "bbee"},
		{"near the limit", append(paths("new"), paths("gone/1", "gone/2", "gone")...), 4, "bbebee"},
		{"above the limit", append(paths("new"), paths("gone/1", "gone/2", "gone")...), 1, "bbeebebe"},
		{"subtree that was there", append(subtrees("many"), subtrees("again")...), 0, "bbee"},
		{"the same with a limit", append(subtrees("many"), subtrees("again")...), 50, "bbebee"},
		{"few entries", append(paths("new"), subtrees("again")...), 0, "bebe"},
		{"new subtree", subtrees("fresh"), 0, "be"},
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
			file := filepath.Join(t.TempDir(), "log")
			// None ends before those that are to begin have.
			before := len(tt.want) - len(strings.TrimLeft(tt.want, "b"))
			f.wrap(fmt.Sprintf(`echo b >>%[1]s; "$rsync" "$@"; code=$?
for i in $(seq 100); do [ $(grep -c b %[1]s) -lt %[2]d ] || break; sleep 0.05; done
echo e >>%[1]s; exit $code`, file, before))
			f.req.MaxDelete = tt.limit
			res := f.sync(tt.changes...)
			log, err := os.ReadFile(file)
			f.must(err)
			if got := strings.ReplaceAll(string(log), "\n", ""); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if held := tt.limit == 1; held != (res.Withheld.Count > 0) || f.exists("gone") != (held || tt.changes[len(tt.changes)-1].Path != "gone") {
				t.Errorf("%+v", res)
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
			for i := range enough {
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
