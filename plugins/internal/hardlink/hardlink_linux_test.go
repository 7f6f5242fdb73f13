package hardlink

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/dirent"
	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
)

// finder is a Finder whose searches are started by find.
type finder struct {
	*Finder
	watchertest.Area
	r *watchertest.Recorder
}

func newFinder(t *testing.T, exclude ...string) finder {
	a := watchertest.NewArea(t)
	r := watchertest.NewRecorder()
	return finder{New(a.Root, watchertest.Filter(t, exclude), r), a, r}
}

// find does what was asked for, and checks that the paths are reported, and no others.
func (f finder) find(want ...string) {
	f.T.Helper()
	mark, due := f.r.Mark(), f.Due()
	f.searchNext(context.Background())
	if f.Done() < due {
		f.T.Errorf("after search %d, %d are done", due, f.Done())
	}
	var got []string
	for _, c := range f.r.Since(mark) {
		got = append(got, c.Path)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.T.Errorf("got %q, want %q", got, want)
	}
}

func (f finder) stat(path string) (st unix.Stat_t) {
	f.T.Helper()
	watchertest.Must(f.T, unix.Lstat(f.Path(path), &st))
	return st
}

// since returns a time after which the file at path was not changed, or before which.
func (f finder) since(path string, before bool) time.Time {
	st := f.stat(path)
	at := time.Unix(st.Ctim.Unix())
	if before {
		return at
	}
	return at.Add(slack + time.Millisecond)
}

func TestChanged(t *testing.T) {
	f := newFinder(t, "cache/", "*.skip")
	f.Mkdir("d/e", "cache")
	f.Write("one", "d/other")
	for _, name := range []string{"d/two", "d/e/three", "cache/four", "five.skip"} {
		f.Area.Link("one", name)
	}
	f.find()
	f.Changed(f.stat("one").Ino, sdk.OpWrite)
	f.Changed(f.stat("one").Ino, sdk.OpClose)
	f.find("one", "d/two", "d/e/three")
	if c := f.r.Since(0)[0]; c.Ops != sdk.OpWrite|sdk.OpClose || c.Scope != sdk.ScopePath {
		t.Errorf("got %+v", c)
	}
	f.find()
	f.Changed(f.stat("one").Ino, sdk.OpWrite)
	f.Changed(f.stat("d/other").Ino, sdk.OpWrite)
	f.Known(f.stat("one").Ino)
	f.find("d/other")
}

func TestChangedSince(t *testing.T) {
	f := newFinder(t, "cache/")
	f.Mkdir("d", "cache")
	f.Write("old", "cache/new")
	old := f.since("old", false)
	for time.Now().Before(old.Add(2 * slack)) { // or it is not old
		time.Sleep(time.Millisecond)
	}
	f.Write("d/new", "cache/new")
	f.ChangedSince(f.since("d/new", false))
	f.find()
	f.ChangedSince(f.since("d/new", true))
	f.ChangedSince(f.since("d/new", false)) // the earliest counts
	f.find("d/new")
	f.Area.Link("old", "d/link") // changes it
	f.ChangedSince(f.since("d/new", true))
	f.find("d/new", "old", "d/link")
	f.ChangedSince(f.since("d/new", false).Add(time.Hour))
	f.Changed(f.stat("d/new").Ino, sdk.OpWrite)
	f.find("d/new")
	f.find()
}

// Whether there may be files with several names is learned by the searches that look at all of them.
func TestLinked(t *testing.T) {
	f := newFinder(t)
	f.Write("a", "b")
	linked := func(want bool) {
		t.Helper()
		if f.Linked() != want {
			t.Errorf("linked: %t", !want)
		}
	}
	search := func() {
		f.ChangedSince(time.Now())
		f.searchNext(context.Background())
	}
	linked(true)
	f.searchNext(context.Background())
	linked(true)
	search()
	linked(false)
	f.Changed(f.stat("a").Ino, sdk.OpWrite)
	linked(true)
	f.searchNext(context.Background())
	linked(true)
	f.Changed(f.stat("a").Ino, sdk.OpWrite)
	search()
	linked(true)
	search()
	linked(false)
	f.Area.Link("a", "c")
	search()
	linked(true)
	f.Remove("c")
	search()
	linked(false)
}

// A search that is asked for while another one is under way is a later one.
func TestDue(t *testing.T) {
	f := newFinder(t)
	f.Write("a")
	ino := f.stat("a").Ino
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	if f.Due() != 0 || f.Done() != 0 {
		t.Errorf("%d are due, %d done", f.Due(), f.Done())
	}
	for range 3 {
		mark := f.r.Mark()
		f.Changed(ino, sdk.OpWrite)
		due := f.Due()
		for deadline := time.After(watchertest.Patience); f.Done() < due; {
			select {
			case <-f.Idle:
			case <-deadline:
				t.Fatal("the search does not end")
			}
		}
		if len(f.r.Since(mark)) != 1 {
			t.Errorf("got %v", f.r.Since(mark))
		}
	}
	cancel()
	<-ended
}

// A name whose path is longer than the kernel takes at once is found, too.
func TestDeep(t *testing.T) {
	f := newFinder(t)
	f.Write("f")
	fd, err := dirent.OpenBelow(f.Root, "")
	watchertest.Must(t, err)
	name := strings.Repeat("d", 200)
	var want string
	for range 30 {
		watchertest.Must(t, unix.Mkdirat(fd, name, 0o755))
		next, err := dirent.Open(fd, name, dirent.Flags)
		watchertest.Must(t, err)
		unix.Close(fd)
		fd = next
		want += name + "/"
	}
	watchertest.Must(t, unix.Linkat(unix.AT_FDCWD, f.Path("f"), fd, "g", 0))
	unix.Close(fd)
	f.Changed(f.stat("f").Ino, sdk.OpWrite)
	f.find("f", want+"g")
}

// BenchmarkSearch measures a search for one file among 100,000, by its number and by its time.
func BenchmarkSearch(b *testing.B) {
	a := watchertest.NewArea(b)
	for d := range 100 {
		a.Mkdir(fmt.Sprint(d))
		for i := range 1000 {
			watchertest.Must(b, os.WriteFile(a.Path(fmt.Sprint(d, "/", i)), nil, 0o644))
		}
	}
	for name, since := range map[string]time.Time{"number": {}, "time": time.Now().Add(time.Hour)} {
		b.Run(name, func(b *testing.B) {
			f := New(a.Root, nil, watchertest.NewRecorder())
			for b.Loop() {
				f.Changed(1, sdk.OpWrite)
				if !since.IsZero() {
					f.ChangedSince(since)
				}
				f.searchNext(context.Background())
			}
		})
	}
}
