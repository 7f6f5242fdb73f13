package inotify

import (
	"fmt"
	"os"
	"testing"
)

// BenchmarkWalk measures the time until a tree of 11,000 directories with some files is watched.
func BenchmarkWalk(b *testing.B) {
	root := b.TempDir()
	for i := range 10 {
		for j := range 1000 {
			dir := fmt.Sprintf("%s/%d/%d", root, i, j)
			must(b, os.MkdirAll(dir, 0o755))
			for k := range 5 {
				must(b, os.WriteFile(fmt.Sprintf("%s/%d", dir, k), nil, 0o644))
			}
		}
	}
	for b.Loop() {
		w := start(b, defaultBackend, root)
		w.stop()
		<-w.done
	}
}

// BenchmarkChange measures the time from a change to its report.
func BenchmarkChange(b *testing.B) {
	root := b.TempDir()
	w := start(b, defaultBackend, root)
	for b.Loop() {
		must(b, os.WriteFile(root+"/f", nil, 0o644))
		<-w.wake
	}
}
