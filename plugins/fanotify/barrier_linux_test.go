package fanotify

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
	"github.com/filewatch/filewatch/sdk/wire"
)

// What was done before a barrier has been reported when it is reached, without any wait.
func TestBarrier(t *testing.T) {
	for _, other := range []bool{false, true} {
		t.Run(fmt.Sprintf("run directory on another file system %v", other), func(t *testing.T) {
			watchertest.LeakCheck(t)
			run := t.TempDir()
			if other {
				run = shm(t)
			}
			t.Setenv(wire.EnvRunDir, run)
			root := t.TempDir()
			churn := trees.NewChurn(1, root, trees.ChurnOptions{Without: trees.HardLinks}) // whose search takes its time
			churn.LogOnFailure(t)
			churn.Run(100)
			w := watchertest.Start(t, quick().watch, root)
			a := watchertest.Area{T: t, Root: root}
			for i := range 1000 {
				churn.Run(3)
				mark := w.Mark()
				dir := fmt.Sprintf("zz%d", i)
				a.Mkdir(dir + "/deep")
				a.Write(dir + "/deep/file")
				w.Prove()
				w.Named(mark, dir+"/deep/file")
				a.Remove(dir)
			}
			watchertest.Must(t, w.End())
			if left, _ := os.ReadDir(run); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// shm returns a directory on a tmpfs.
func shm(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "filewatch-test-")
	watchertest.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Many barriers that come at once are all reached.
func TestManyBarriers(t *testing.T) {
	a := watchertest.NewArea(t)
	w := watchertest.Start(t, quick().watch, a.Root)
	var reached atomic.Int32
	for i := range 1000 {
		mark, file := w.Mark(), fmt.Sprint(i)
		a.Write(file)
		w.Ask(func() {
			reached.Add(1)
			w.Named(mark, file)
		})
	}
	w.Eventually(func() string {
		if n := reached.Load(); n != 1000 {
			return fmt.Sprintf("%d were reached", n)
		}
		return ""
	})
}

// The other names of a file are known before the barrier is reached.
func TestBarrierWaitsForLinks(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("x", "y", "cache")
	a.Write("x/file", "other")
	for _, name := range []string{"y/second", "third", "cache/fourth"} {
		watchertest.Must(t, os.Link(a.Path("x/file"), a.Path(name)))
	}
	w := watchertest.Start(t, quick().watch, a.Root, "cache/")
	for i := range 20 {
		mark := w.Mark()
		if i%2 == 0 {
			a.Write("x/file")
		} else {
			watchertest.Must(t, os.Chmod(a.Path("third"), 0o600))
		}
		w.Prove()
		w.Only(mark, "x/file", "y/second", "third")
	}
}

// Barriers are reached while files with several names are changed without end.
func TestBarrierDuringLinks(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Write("f")
	watchertest.Must(t, os.Link(a.Path("f"), a.Path("g")))
	w := watchertest.Start(t, quick().watch, a.Root)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.WriteFile(a.Path("f"), []byte("x"), 0o644)
			}
		}
	}()
	for range 5 {
		w.Prove()
	}
	close(stop)
	<-stopped
}

// An overflow may cost the event of a barrier; it is reached all the same, after the comparison.
func TestBarrierSurvivesOverflow(t *testing.T) {
	tn := quick()
	tn.queueLimit = 4 << 10
	watchertest.RunBarrierSurvivesOverflow(t, tn.watch)
}

// Whoever tidies up the directory for temporary files does not end the watch.
func TestBarrierDirectoryRemoved(t *testing.T) {
	run := t.TempDir()
	t.Setenv(wire.EnvRunDir, run)
	a := watchertest.NewArea(t)
	w := watchertest.Start(t, quick().watch, a.Root)
	for range 10 {
		w.Alive("")
		left, err := filepath.Glob(run + "/*")
		watchertest.Must(t, err)
		if len(left) != 1 {
			t.Fatalf("got %q", left)
		}
		watchertest.Must(t, os.RemoveAll(left[0]))
	}
	watchertest.Must(t, os.RemoveAll(run))
	w.Ask(func() { t.Error("reached") })
	<-w.Done
	if w.Err == nil {
		t.Error("the watch ended without an error")
	}
}
