package rsync

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// ready makes ready for the next request, and wants nothing else to be done.
func (f *fixture) ready() {
	f.t.Helper()
	before := snap(f.t, filepath.Dir(f.dst))
	res, err := f.tr.Sync(f.t.Context(), f.req, func(p sdk.Progress) { f.t.Errorf("progress: %+v", p) })
	if diff := cmp.Diff(sdk.Result{}, res); err != nil || diff != "" {
		f.t.Errorf("not ready: %v, result (-want +got):\n%s", err, diff)
	}
	if list := changed(before, snap(f.t, filepath.Dir(f.dst))); len(list) > 0 {
		f.t.Errorf("%q changed", list)
	}
	if f.onStandby() != nil {
		f.t.Error("an rsync is on standby that nothing is known to be for")
	}
}

// A request without changes asks the far end what the next one would have to ask, and leaves everything as it is.
func TestReady(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f := d.make(t)
			f.write(f.src, "a", "d/b")
			f.write(f.dst, "d/extra", "x/.y.abcdef")
			f.req.Attempt = 2 // of what was in a call before nothing is known
			runs := f.runs("")
			for range 2 {
				f.ready()
				if n := len(runs()); n != 2 {
					t.Errorf("%q, want one run", runs())
				}
			}
			f.sync(paths("a")...)
			f.equal(tree.Options{})
			for _, args := range runs()[2:] {
				if strings.Contains(args, " -n ") {
					t.Errorf("asked again: %s", args)
				}
			}
		})
	}
}

// The connection is there as well, and a destination directory that is missing stays so.
func TestReadyBeforeTheDestinationIsThere(t *testing.T) {
	t.Parallel()
	for _, d := range destinations[:2] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f := d.make(t)
			f.write(f.src, "a")
			f.must(os.Remove(f.dst))
			f.ready()
			masters := len(f.masters())
			if want := d.name == "ssh"; (masters == 1) != want {
				t.Errorf("%d connections", masters)
			}
			f.sync(subtrees("")...)
			f.equal(tree.Options{})
			if n := len(f.masters()); n != masters {
				t.Errorf("%d connections after a transfer, %d before", n, masters)
			}
		})
	}
}

// What keeps a request from getting anything done keeps it from being made ready for, and is found anew by the next.
func TestReadyFails(t *testing.T) {
	t.Parallel()
	f, s := remote(t, sshd.Config{})
	f.write(f.src, "a")
	s.Stop()
	if res, err := f.try(); !sdk.IsUnavailable(err) {
		t.Error(describe(res, err))
	}
	f.must(os.RemoveAll(f.src))
	if res, err := f.try(); !sdk.IsRootLost(err) {
		t.Error(describe(res, err))
	}
}
