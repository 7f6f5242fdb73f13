package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/filewatch/filewatch/sdk"
)

// killDeleting makes each rsync that deletes die when so many entries are left in a directory, here and at
// the destination.
func (f *fixture) killDeleting(dir string, left int) {
	f.t.Helper()
	f.wrap(`for a; do [ "$a" = --dry-run ] && exec "$rsync" "$@"; done
exec 3<&0
"$rsync" "$@" <&3 &
pid=$!
while [ -e /proc/$pid/exe ]; do
	[ $(ls -f '` + dir + `' | wc -l) -gt ` + strconv.Itoa(left) + ` ] || kill -KILL $(cat /proc/$pid/task/$pid/children) $pid
done
wait $pid
`)
}

// What a run has deleted before it died is told; it is no less than what it really has.
func TestDeletionsBeforeTheDeathOfRsync(t *testing.T) {
	t.Parallel()
	const files = 20000
	for _, tt := range []struct {
		name    string
		changes []sdk.Change
	}{
		{"paths", append(paths("new"), paths("gone")...)},
		{"full", subtrees("")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := local(t)
			f.write(f.src, "kept", "new")
			f.write(f.dst, "kept")
			for i := range files {
				f.write(f.dst, fmt.Sprintf("gone/%d", i))
			}
			f.force(allCaps)
			f.req.MaxDelete = 2 * files
			before := count(t, f.dst)
			f.killDeleting(filepath.Join(f.dst, "gone"), files-1000)
			var last sdk.Progress
			req := f.req
			req.Changes = tt.changes
			res, err := f.tr.Sync(t.Context(), req, func(p sdk.Progress) { last = p })
			if err == nil {
				t.Fatal(describe(res, err))
			}
			really := before - count(t, f.dst)
			if f.exists("new") {
				really++
			}
			t.Logf("%d entries were deleted, %d told, %d created", really, last.Deleted, last.Created)
			// It goes on for a moment after it can tell no more.
			if really == 0 || really > files || last.Deleted < uint64(really) || last.Deleted > files+1 {
				t.Errorf("%d deletions were told of %d", last.Deleted, really)
			}
			if last.Created != 1 {
				t.Errorf("%d creations were told, want 1", last.Created)
			}
		})
	}
}

// A file that cannot be created was not created, though rsync says so before it tries.
func TestWhatFailsIsNotCreated(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "d/a", "d/b", "c")
	f.write(f.dst, "d/")
	f.open()
	f.must(os.Chown(filepath.Join(f.dst, "d"), 0, 0))
	f.force(allCaps)
	f.unprivileged()
	res, err := f.try(paths("d/a", "d/b", "c")...)
	if err != nil || len(res.Failed) < 2 || res.Created > 1 {
		t.Errorf("%d created: %s", res.Created, describe(res, err))
	}
}

// A batch whose run dies again and again counts once, and is still within the limit when it gets through.
func TestRemovalsThatMayHaveBeenCountOnce(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.config().Standby = 0
	var changes []sdk.Change
	for i := range 60 {
		name := fmt.Sprint("gone-", i)
		f.write(f.dst, name)
		changes = append(changes, sdk.Change{Path: name})
	}
	f.force(allCaps)
	counted := uint64(0)
	f.wrap(`for a; do [ "$a" = --dry-run ] && exec "$rsync" "$@"; done; kill -KILL $$`)
	for range 4 {
		f.req.MaxDelete = 100 - counted
		f.force(allCaps)
		var last sdk.Progress
		req := f.req
		req.Changes = changes
		if res, err := f.tr.Sync(t.Context(), req, func(p sdk.Progress) { last = p }); err == nil {
			t.Fatal(describe(res, err))
		}
		if counted += last.Deleted; counted != 60 {
			t.Fatalf("%d removals count, want 60", counted)
		}
	}
	f.unwrap()
	f.req.MaxDelete = 100 - counted
	if res := f.sync(changes...); res.Deleted != 0 || res.Withheld.Count != 0 || count(t, f.dst) != 0 {
		t.Errorf("%+v, %d are left", res, count(t, f.dst))
	}
	// From then on they are as any others.
	f.write(f.dst, "gone-1")
	if res := f.sync(changes...); res.Deleted != 1 {
		t.Errorf("%+v", res)
	}
}

// A run that did not get as far as the destination has removed nothing.
func TestFailureToConnectCountsForNothing(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.req.Destination = sdk.Endpoint{Scheme: schemeDaemon, Host: "127.0.0.1", Port: 1, Path: "module"}
	f.force(allCaps)
	f.req.MaxDelete = 100
	f.req.Changes = paths("a", "b")
	var last sdk.Progress
	if res, err := f.tr.Sync(t.Context(), f.req, func(p sdk.Progress) { last = p }); err == nil || last.Deleted != 0 {
		t.Errorf("%d removals count: %s", last.Deleted, describe(res, err))
	}
}
