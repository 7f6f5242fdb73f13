package queue

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// Writers count up files and report them while a transfer copies what it is told and fails now and
// then. Without a lost change the copies are equal in the end.
func TestConcurrent(t *testing.T) {
	const writers, files, writes = 4, 60, 3000
	q := New(Config{Limit: 40, BatchPaths: 10, Settle: ms, MaxDelay: 2 * ms, RetryMin: ms, RetryMax: 5 * ms})
	var source [files]atomic.Int64
	name := func(i int) string { return fmt.Sprintf("%d/%d/%d", i%3, i%7, i) }

	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			for range writes {
				i := rng.IntN(files)
				source[i].Add(1)
				q.Add(time.Now(), sdk.Change{Path: name(i), Ops: sdk.Op(rng.IntN(8))})
				if rng.IntN(200) == 0 {
					time.Sleep(ms)
				}
				q.Stats()
				q.Failing(5)
			}
		})
	}
	written := make(chan struct{})
	go func() { running.Wait(); close(written) }()

	var far [files]int64
	rng := rand.New(rand.NewPCG(2, 2))
	transfer := func(faults bool) {
		b := q.Take(time.Now())
		if b == nil {
			return
		}
		if faults && rng.IntN(5) == 0 {
			q.Return(time.Now(), b)
			return
		}
		var failed []sdk.PathError
		for i := range files {
			if !covered(b.Changes(), name(i)) {
				continue
			}
			if faults && rng.IntN(10) == 0 {
				failed = append(failed, sdk.PathError{Path: name(i), Text: "no"})
				continue
			}
			far[i] = source[i].Load()
		}
		q.Done(time.Now(), b, failed)
	}

	deadline := time.After(30 * time.Second)
	faults := true
	for !(q.Empty() && !faults) {
		transfer(faults)
		var due <-chan time.Time
		if next, ok := q.Next(); ok {
			due = time.After(time.Until(next))
		} else if !faults {
			break
		}
		select {
		case <-due:
		case <-q.Changed():
		case <-written:
			written, faults = nil, false
		case <-deadline:
			t.Fatal("did not come to rest")
		}
	}
	for i := range files {
		if far[i] != source[i].Load() {
			t.Errorf("%s: %d at the far end, %d at the source", name(i), far[i], source[i].Load())
		}
	}
	if _, failing := q.Failing(1); failing != 0 || !q.Empty() {
		t.Errorf("%d failing, %+v", failing, q.Stats())
	}
}
