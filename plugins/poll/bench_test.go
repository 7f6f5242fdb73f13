package poll

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

// benchTree makes a tree of 100,000 entries: 1,000 directories with 99 files each.
func benchTree(b *testing.B) (root string, entries int) {
	b.Helper()
	root = b.TempDir()
	for i := range 1000 {
		dir := fmt.Sprintf("%s/%02d/%02d", root, i/32, i%32)
		watchertest.Must(b, os.MkdirAll(dir, 0o755))
		for j := range 99 {
			watchertest.Must(b, os.WriteFile(fmt.Sprintf("%s/some-file-%03d.txt", dir, j), nil, 0o644))
		}
	}
	watchertest.Must(b, filepath.WalkDir(root, func(string, os.DirEntry, error) error { entries++; return nil }))
	return root, entries
}

// BenchmarkPass measures passes over a tree in which nothing changes, in time and in processor time.
func BenchmarkPass(b *testing.B) {
	root, entries := benchTree(b)
	for _, kind := range []string{"full", "light"} {
		b.Run(kind, func(b *testing.B) {
			t := newTree(root, nil, nil, newRecorder())
			t.hotFor = 0
			mustPass(b, t, false)
			var before, after runtime.MemStats
			var cost float64
			runtime.ReadMemStats(&before)
			for b.Loop() {
				o, err := t.pass(context.Background(), kind == "light")
				watchertest.Must(b, err)
				cost += float64(o.cost)
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*entries), "ns/entry")
			b.ReportMetric(cost/float64(b.N*entries), "cpu-ns/entry")
		})
	}
}

// BenchmarkFind is what BenchmarkPass is compared with.
func BenchmarkFind(b *testing.B) {
	root, entries := benchTree(b)
	for b.Loop() {
		watchertest.Must(b, exec.Command("find", root, "-printf", `%p %s %T@ %C@\n`).Run())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*entries), "ns/entry")
}

// BenchmarkMemory measures what a tree of a watch takes, all included.
func BenchmarkMemory(b *testing.B) {
	root, entries := benchTree(b)
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		t := newTree(root, nil, nil, newRecorder())
		mustPass(b, t, false)
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(t)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(entries), "B/entry")
}
