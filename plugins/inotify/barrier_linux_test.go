package inotify

import (
	"fmt"
	"os"
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// What was done before a barrier has been reported when it is reached, without any wait.
func TestBarrier(t *testing.T) {
	watchertest.LeakCheck(t)
	root := t.TempDir()
	churn := trees.NewChurn(1, root, trees.ChurnOptions{PlainNames: true})
	churn.LogOnFailure(t)
	churn.Run(100)
	w := watchertest.Start(t, quick().watch, root)
	a := watchertest.Area{T: t, Root: root}
	for i := range 300 {
		churn.Run(5)
		mark := w.Mark()
		file := fmt.Sprintf("zz%d/deep/file", i)
		a.Mkdir(fmt.Sprintf("zz%d/deep", i))
		a.Write(file)
		w.Prove()
		w.Covered(mark, file)
		watchertest.Must(t, os.RemoveAll(a.Path(fmt.Sprintf("zz%d", i))))
	}
	watchertest.Must(t, w.End())
}

// The other names of a file are known before the barrier is reached.
func TestBarrierWaitsForLinks(t *testing.T) {
	root := t.TempDir()
	a := watchertest.Area{T: t, Root: root}
	a.Mkdir("x", "y")
	a.Write("x/file")
	watchertest.Must(t, os.Link(a.Path("x/file"), a.Path("y/link")))
	w := watchertest.Start(t, quick().watch, root)
	for range 20 {
		mark := w.Mark()
		a.Write("x/file")
		w.Prove()
		w.Covered(mark, "y/link")
	}
}

// An overflow may cost the event of a barrier; it is reached all the same, after the comparison.
func TestBarrierSurvivesOverflow(t *testing.T) {
	tn := production
	tn.queueLimit = 4 << 10
	watchertest.RunBarrierSurvivesOverflow(t, tn.watch)
}

// Barriers are reached while files with several names are changed, and names come and go, without end.
func TestBarrierDuringLinks(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Write("f")
	a.Link("f", "g")
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
				_ = os.Link(a.Path("f"), a.Path("h"))
				_ = os.WriteFile(a.Path("h"), []byte("y"), 0o644)
				_ = os.Remove(a.Path("h"))
			}
		}
	}()
	for range 5 {
		mark := w.Mark()
		a.Write("f")
		w.Prove()
		w.Covered(mark, "g")
	}
	close(stop)
	<-stopped
}
