package inotify

import (
	"fmt"
	"os"
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

// BenchmarkWalk measures the time until a tree of 11,000 directories with some files is watched.
func BenchmarkWalk(b *testing.B) {
	root := b.TempDir()
	for i := range 10 {
		for j := range 1000 {
			dir := fmt.Sprintf("%s/%d/%d", root, i, j)
			watchertest.Must(b, os.MkdirAll(dir, 0o755))
			for k := range 5 {
				watchertest.Must(b, os.WriteFile(fmt.Sprintf("%s/%d", dir, k), nil, 0o644))
			}
		}
	}
	for b.Loop() {
		w := watchertest.Start(b, defaultBackend, root)
		w.Stop()
		<-w.Done
	}
}

// BenchmarkChange measures the time from a change to its report.
func BenchmarkChange(b *testing.B) {
	root := b.TempDir()
	w := watchertest.Start(b, defaultBackend, root)
	for b.Loop() {
		watchertest.Must(b, os.WriteFile(root+"/f", nil, 0o644))
		<-w.Wake
	}
}
