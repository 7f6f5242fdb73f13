package inotify

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk"
	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// prove waits until the watch has reached a barrier.
func (w *watched) prove() {
	w.t.Helper()
	reached := make(chan struct{})
	w.barriers <- sdk.NewBarrier(func() { close(reached) })
	select {
	case <-reached:
	case <-w.done:
		w.t.Fatalf("watch ended: %v", w.err)
	case <-time.After(patience):
		w.t.Fatal("the barrier was not reached")
	}
}

// What was done before a barrier has been reported when it is reached, without any wait.
func TestBarrier(t *testing.T) {
	leakCheck(t)
	root := t.TempDir()
	churn := trees.NewChurn(1, root, trees.ChurnOptions{PlainNames: true})
	churn.LogOnFailure(t)
	churn.Run(100)
	w := start(t, quick().watch, root)
	a := area{t: t, root: root}
	for i := range 300 {
		churn.Run(5)
		mark := w.mark()
		file := fmt.Sprintf("zz%d/deep/file", i)
		a.mkdir(fmt.Sprintf("zz%d/deep", i))
		a.write(file)
		w.prove()
		if !covered(w.since(mark), file) {
			t.Fatalf("barrier %d was reached before %s was reported", i, file)
		}
		must(t, os.RemoveAll(a.path(fmt.Sprintf("zz%d", i))))
	}
	must(t, w.end())
}

// The other names of a file are known before the barrier is reached.
func TestBarrierWaitsForLinks(t *testing.T) {
	root := t.TempDir()
	a := area{t: t, root: root}
	a.mkdir("x", "y")
	a.write("x/file")
	must(t, os.Link(a.path("x/file"), a.path("y/link")))
	w := start(t, quick().watch, root)
	for range 20 {
		mark := w.mark()
		a.write("x/file")
		w.prove()
		if !covered(w.since(mark), "y/link") {
			t.Fatal("the barrier was reached before the other name was reported")
		}
	}
}

// An overflow may cost the event of a barrier; it is reached all the same, after the comparison.
func TestBarrierSurvivesOverflow(t *testing.T) {
	root := t.TempDir()
	small := production
	small.queueLimit = 4 << 10
	w := start(t, small.watch, root)
	a := area{t: t, root: root}
	for range 20 {
		mark := w.mark()
		for i := range 500 {
			a.write(fmt.Sprint("file", i))
		}
		w.prove()
		for i := range 500 {
			if file := fmt.Sprint("file", i); !covered(w.since(mark), file) {
				t.Fatalf("the barrier was reached before %s was reported", file)
			}
		}
	}
}

func covered(changes []sdk.Change, path string) bool {
	for _, c := range changes {
		if c.Covers(path) {
			return true
		}
	}
	return false
}
