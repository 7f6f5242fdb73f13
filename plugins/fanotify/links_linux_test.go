package fanotify

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

func TestLinkRaces(t *testing.T) {
	watchertest.RunLinkRaces(t, func(beforeRead func()) watchertest.Backend {
		tn := quick()
		tn.beforeRead = beforeRead
		return tn.watch
	})
}

func TestLinksOfMany(t *testing.T) { watchertest.RunLinksOfMany(t, quick().watch) }

// What programs write elsewhere on the file system, and rename, has nobody search the tree for other names.
func TestRenamedElsewhere(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d")
	a.Write("d/file")
	w := watchertest.Start(t, quick().watch, a.Root)
	// A directory that is read gets a new access time if that is older than the one of its change.
	searched := func(do func()) bool {
		t.Helper()
		old := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
		watchertest.Must(t, os.Chtimes(a.Path("d"), old, time.Now()))
		w.Prove()
		do()
		w.Prove()
		var st unix.Stat_t
		watchertest.Must(t, unix.Stat(a.Path("d"), &st))
		return st.Atim.Sec != old.Unix()
	}
	if !searched(func() {
		_, err := os.ReadDir(a.Path("d"))
		watchertest.Must(t, err)
	}) {
		t.Skip("no access times are kept here, such as with the mount option noatime")
	}
	// Files with several names that other programs write on this file system do have the tree searched.
	for tries := 1; searched(func() {
		watchertest.Must(t, os.WriteFile(a.Out+"/.f.tmp", nil, 0o644))
		watchertest.Must(t, os.Rename(a.Out+"/.f.tmp", a.Out+"/f"))
	}); tries++ {
		if tries == 50 {
			t.Fatalf("the tree was searched each of %d times", tries)
		}
	}
	mark := w.Mark()
	if !searched(func() {
		watchertest.Must(t, os.Link(a.Path("d/file"), a.Out+"/.link"))
		watchertest.Must(t, os.WriteFile(a.Out+"/.link", nil, 0o644))
		watchertest.Must(t, os.Rename(a.Out+"/.link", a.Out+"/link"))
	}) {
		t.Error("the tree was not searched for the other name")
	}
	w.Named(mark, "d/file")
	watchertest.Must(t, w.End())
}
