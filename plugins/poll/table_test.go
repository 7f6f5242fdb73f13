package poll

import (
	"context"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

const long = "a-directory-with-a-name-of-more-than-one-hundred-and-twenty-bytes-so-that-forty-of-them-are-longer-than-the-kernel-takes-paths"

// deep makes a file below 40 directories with long names, or changes it.
func deep(a watchertest.Area, create bool) {
	at, err := unix.Open(a.Root, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	watchertest.Must(a.T, err)
	for range 40 {
		if create {
			watchertest.Must(a.T, unix.Mkdirat(at, long, 0o755))
		}
		next, err := unix.Openat(at, long, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		watchertest.Must(a.T, err)
		unix.Close(at)
		at = next
	}
	fd, err := unix.Openat(at, "f", unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0o644)
	watchertest.Must(a.T, err)
	_, err = unix.Write(fd, []byte("x"))
	watchertest.Must(a.T, err)
	unix.Close(fd)
	unix.Close(at)
}

// watchRarely is a backend whose barriers alone cause passes after the first.
func watchRarely(ctx context.Context, root string, exclude *filter.Filter, asked <-chan sdk.Barrier, r sdk.Reporter) error {
	return Plugin().Watcher.Watch(ctx, sdk.WatchRequest{Root: root, Config: rarely(), Barriers: asked}, r)
}

func TestTable(t *testing.T) {
	for _, tc := range append(slices.Clone(watchertest.Table), watchertest.WriteMapped) {
		t.Run(tc.Name, func(t *testing.T) {
			watchertest.LeakCheck(t)
			a := watchertest.NewArea(t)
			if tc.Setup != nil {
				tc.Setup(a)
			}
			w := watchertest.Start(t, watchRarely, a.Root)
			w.Prove() // what was racy
			mark, lasting := w.Mark(), tc.Lasting(a)
			tc.Op(a)
			w.Prove()
			w.Covered(mark, lasting()...)
			w.Alive(a.Dirs()...)
			watchertest.Must(t, w.End())
		})
	}
}

func TestDeeperThanAPathMayBe(t *testing.T) {
	a := watchertest.NewArea(t)
	deep(a, true)
	w := start(t, a.Root, rarely())
	w.rest()
	deep(a, false)
	if p := strings.Repeat(long+"/", 40) + "f"; !covered(a.Root, p, w.after()) {
		t.Error("a change there is not reported")
	}
	watchertest.Must(t, w.end())
}
