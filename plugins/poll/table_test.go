package poll

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// area is where a case of the table works: a watched root, and a directory beside it.
type area struct {
	t         *testing.T
	root, out string
}

func newArea(t *testing.T) area { return area{t, t.TempDir(), t.TempDir()} }

func (a area) path(p string) string {
	if rest, ok := strings.CutPrefix(p, "out:"); ok {
		return filepath.Join(a.out, rest)
	}
	return filepath.Join(a.root, p)
}
func (a area) mkdir(paths ...string) {
	for _, p := range paths {
		must(a.t, os.MkdirAll(a.path(p), 0o755))
	}
}
func (a area) write(paths ...string) {
	for _, p := range paths {
		must(a.t, os.WriteFile(a.path(p), []byte(p), 0o644))
	}
}
func (a area) mv(from, to string) { must(a.t, syscall.Rename(a.path(from), a.path(to))) }
func (a area) rm(paths ...string) {
	for _, p := range paths {
		must(a.t, os.RemoveAll(a.path(p)))
	}
}

const long = "a-directory-with-a-name-of-more-than-one-hundred-and-twenty-bytes-so-that-forty-of-them-are-longer-than-the-kernel-takes-paths"

// deep makes a file below 40 directories with long names, or changes it.
func (a area) deep(create bool) {
	at, err := unix.Open(a.root, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(a.t, err)
	for range 40 {
		if create {
			must(a.t, unix.Mkdirat(at, long, 0o755))
		}
		next, err := unix.Openat(at, long, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(a.t, err)
		unix.Close(at)
		at = next
	}
	fd, err := unix.Openat(at, "f", unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0o644)
	must(a.t, err)
	_, err = unix.Write(fd, []byte("x"))
	must(a.t, err)
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
	a := newArea(t)
	a.deep(true)
	w := start(t, a.root, rarely())
	w.rest()
	a.deep(false)
	if p := strings.Repeat(long+"/", 40) + "f"; !covered(a.root, p, w.after()) {
		t.Error("a change there is not reported")
	}
	must(t, w.end())
}
