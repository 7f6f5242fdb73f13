package queue

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/filewatch/filewatch/sdk"
)

// names returns n paths as they are in a source tree: some 30 bytes, 100 files in a directory.
func names(n int) []string {
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("src/module-%d/package-%d/file-%d.go", i/2000, i/100, i)
	}
	return paths
}

func BenchmarkAdd(b *testing.B) {
	for _, limit := range []int{20_000, 1_000_000} {
		paths := names(100_000)
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			b.ReportAllocs()
			var q *Queue
			for i := range b.N {
				if i%len(paths) == 0 {
					q = New(Config{Limit: limit})
				}
				q.Add(t0, sdk.Change{Path: paths[i%len(paths)], Ops: sdk.OpClose})
			}
		})
	}
}

func BenchmarkAddAgain(b *testing.B) {
	paths := names(10_000)
	q := New(Config{})
	b.ReportAllocs()
	for i := range b.N {
		q.Add(t0, sdk.Change{Path: paths[i%len(paths)], Ops: sdk.OpClose})
	}
}

// BenchmarkOneChange is a change on its way through an idle queue.
func BenchmarkOneChange(b *testing.B) {
	q := New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		q.Add(t0, sdk.Change{Path: "src/package/file.go", Ops: sdk.OpClose})
		q.Done(t0, q.Take(t0), nil)
	}
}

// BenchmarkTake takes batches of 10,000 out of 100,000; the figure is for one path.
func BenchmarkTake(b *testing.B) {
	paths := names(100_000)
	b.ReportAllocs()
	for n := 0; n < b.N; {
		b.StopTimer()
		q := New(Config{Limit: 1_000_000})
		for _, p := range paths {
			q.Add(t0, sdk.Change{Path: p, Ops: sdk.OpClose})
		}
		b.StartTimer()
		for n < b.N && !q.Empty() {
			batch := q.Take(t0)
			n += len(batch.Changes())
			q.Done(t0, batch, nil)
		}
	}
}

// BenchmarkTakeFewDue takes one path that is due while 15,000 wait.
func BenchmarkTakeFewDue(b *testing.B) {
	q := New(Config{Settle: 1 << 40, MaxDelay: 1 << 40})
	for _, p := range names(15_000) {
		q.Add(t0, sdk.Change{Path: p, Ops: sdk.OpWrite})
	}
	for b.Loop() {
		q.Add(t0, sdk.Change{Path: "f", Ops: sdk.OpClose})
		q.Done(t0, q.Take(t0), nil)
	}
}

func BenchmarkMemory(b *testing.B) {
	paths := names(19_000)
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		q := New(Config{})
		for _, p := range paths {
			q.Add(t0, sdk.Change{Path: p, Ops: sdk.OpClose})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(q.tree.len()), "B/path")
		runtime.KeepAlive(q)
	}
}
