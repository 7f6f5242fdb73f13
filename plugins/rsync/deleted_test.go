package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/filewatch/filewatch/sdk"
)

// killAfter makes each rsync that deletes die after so many deletions, here and at the destination.
func killAfter(t *testing.T, n int) {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "out.")
	wrapRsync(t, `for a; do [ "$a" = --dry-run ] && exec "$rsync" "$@"; done
out=`+fifo+`$$
mkfifo "$out"
exec 3<&0
"$rsync" "$@" <&3 >"$out" &
pid=$! n=0
while IFS= read -r line; do
	printf '%s\n' "$line"
	case $line in
	"*deleting"*) n=$((n+1)); [ $n -ne `+strconv.Itoa(n)+` ] || kill -KILL $(cat /proc/$pid/task/$pid/children) $pid ;;
	esac
done <"$out"
wait $pid
`)
}

// What a run has deleted before it died is told; it is no less than what it really has.
func TestDeletionsBeforeTheDeathOfRsync(t *testing.T) {
	const files = 8000
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
				f.write(f.dst, fmt.Sprint("gone/", i))
			}
			f.force(allCaps)
			f.req.MaxDelete = 2 * files
			before := count(t, f.dst)
			killAfter(t, 5)
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
			if really == 0 || last.Deleted < uint64(really) || last.Deleted > files+1 {
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
	f := local(t)
	f.write(f.src, "d/a", "d/b", "c")
	f.write(f.dst, "d/")
	f.open()
	f.must(os.Chown(filepath.Join(f.dst, "d"), 0, 0))
	f.force(allCaps)
	unprivileged(t)
	res, err := f.try(paths("d/a", "d/b", "c")...)
	if err != nil || len(res.Failed) < 2 || res.Created > 1 {
		t.Errorf("%d created: %s", res.Created, describe(res, err))
	}
}
