package fanotify

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
	"github.com/filewatch/filewatch/sdk/wire"
)

// What was done before a barrier has been reported when it is reached, without any wait.
func TestBarrier(t *testing.T) {
	for _, other := range []bool{false, true} {
		t.Run(fmt.Sprintf("run directory on another file system %v", other), func(t *testing.T) {
			leakCheck(t)
			run := t.TempDir()
			if other {
				run = shm(t)
			}
			t.Setenv(wire.EnvRunDir, run)
			root := t.TempDir()
			churn := trees.NewChurn(1, root, trees.ChurnOptions{Without: trees.HardLinks}) // whose search takes its time
			churn.LogOnFailure(t)
			churn.Run(100)
			w := start(t, quick().watch, root)
			a := area{t: t, root: root}
			for i := range 1000 {
				churn.Run(3)
				mark := w.mark()
				dir := fmt.Sprintf("zz%d", i)
				a.mkdir(dir + "/deep")
				a.write(dir + "/deep/file")
				w.prove()
				w.named(mark, dir+"/deep/file")
				a.rm(dir)
			}
			must(t, w.end())
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
	if err != nil {
		t.Skipf("needs a tmpfs at /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Many barriers that come at once are all reached.
func TestManyBarriers(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	w := start(t, quick().watch, a.root)
	var reached atomic.Int32
	for i := range 1000 {
		mark, file := w.mark(), fmt.Sprint(i)
		a.write(file)
		w.ask(func() {
			reached.Add(1)
			w.named(mark, file)
		})
	}
	w.eventually(func() string {
		if n := reached.Load(); n != 1000 {
			return fmt.Sprintf("%d were reached", n)
		}
		return ""
	})
}

// The other names of a file are known before the barrier is reached.
func TestBarrierWaitsForLinks(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("x", "y", "cache")
	a.write("x/file", "other")
	for _, name := range []string{"y/second", "third", "cache/fourth"} {
		must(t, os.Link(a.path("x/file"), a.path(name)))
	}
	w := start(t, quick().watch, a.root, "cache/")
	for i := range 20 {
		mark := w.mark()
		if i%2 == 0 {
			a.write("x/file")
		} else {
			must(t, os.Chmod(a.path("third"), 0o600))
		}
		w.prove()
		w.only(mark, "x/file", "y/second", "third")
	}
}

// Barriers are reached while files with several names are changed without end.
func TestBarrierDuringLinks(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	a.write("f")
	must(t, os.Link(a.path("f"), a.path("g")))
	w := start(t, quick().watch, a.root)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.WriteFile(a.path("f"), []byte("x"), 0o644)
			}
		}
	}()
	for range 5 {
		w.prove()
	}
	close(stop)
	<-stopped
}

// An overflow may cost the event of a barrier; it is reached all the same, after the comparison.
func TestBarrierSurvivesOverflow(t *testing.T) {
	a := area{t, t.TempDir(), t.TempDir()}
	tn := quick()
	tn.queueLimit = 4 << 10
	w := start(t, tn.watch, a.root)
	for range 20 {
		mark := w.mark()
		var want []string
		for i := range 500 {
			want = append(want, fmt.Sprint("file", i))
		}
		a.write(want...)
		w.prove()
		w.covered(mark, want...)
	}
}

// Whoever tidies up the directory for temporary files does not end the watch.
func TestBarrierDirectoryRemoved(t *testing.T) {
	run := t.TempDir()
	t.Setenv(wire.EnvRunDir, run)
	a := area{t, t.TempDir(), t.TempDir()}
	w := start(t, quick().watch, a.root)
	for range 10 {
		w.alive("")
		left, err := filepath.Glob(run + "/*")
		must(t, err)
		if len(left) != 1 {
			t.Fatalf("got %q", left)
		}
		must(t, os.RemoveAll(left[0]))
	}
	must(t, os.RemoveAll(run))
	w.ask(func() { t.Error("reached") })
	<-w.done
	if w.err == nil {
		t.Error("the watch ended without an error")
	}
}
