package fanotify

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

// BenchmarkReady measures the time until a tree of 11,000 directories is watched.
func BenchmarkReady(b *testing.B) {
	root := b.TempDir()
	for i := range 10 {
		for j := range 1000 {
			watchertest.Must(b, os.MkdirAll(fmt.Sprintf("%s/%d/%d", root, i, j), 0o755))
		}
	}
	for b.Loop() {
		w := watchertest.Start(b, production.watch, root)
		b.StopTimer()
		w.Stop()
		<-w.Done
		b.StartTimer()
	}
}

// BenchmarkChange measures the time from a change to its report.
func BenchmarkChange(b *testing.B) {
	root := b.TempDir()
	w := watchertest.Start(b, quick().watch, root)
	for b.Loop() {
		watchertest.Must(b, os.WriteFile(root+"/f", nil, 0o644))
		<-w.Wake
	}
}

// BenchmarkEvents measures what an event costs this process: in the tree, elsewhere in the file system,
// and after each rename of a directory in the tree.
func BenchmarkEvents(b *testing.B) {
	for _, dir := range []string{"in", "out", "renames"} {
		b.Run(dir, func(b *testing.B) {
			root, out := b.TempDir(), b.TempDir()
			gate := watchertest.NewGate()
			tn := quick()
			tn.beforeRead = gate.Pass
			w := watchertest.Start(b, tn.watch, root)
			at := root
			if dir == "out" {
				at = out
			}
			const n = 10000
			for d := range 10 {
				watchertest.Must(b, os.Mkdir(filepath.Join(at, fmt.Sprint("d", d)), 0o755))
			}
			var cpu time.Duration
			events := 0
			for b.Loop() {
				gate.Close()
				watchertest.Must(b, os.WriteFile(root+"/wake", nil, 0o644))
				for i := range n {
					sub := filepath.Join(at, fmt.Sprint("d", i%10))
					if dir == "renames" {
						from, to := filepath.Join(at, fmt.Sprint("r", events+i)), filepath.Join(at, fmt.Sprint("r", events+i+1))
						if events+i == 0 {
							from = sub
						}
						watchertest.Must(b, os.Rename(from, to))
						continue
					}
					fd, err := unix.Open(sub+fmt.Sprint("/", i), unix.O_CREAT|unix.O_WRONLY, 0o644)
					watchertest.Must(b, err)
					unix.Close(fd)
				}
				before := processTime()
				gate.Open()
				reached := make(chan struct{})
				w.Ask(func() { close(reached) })
				<-reached
				cpu += processTime() - before
				events += n
			}
			b.ReportMetric(float64(cpu.Microseconds())/float64(events)*10, "cpu-ms/10k")
		})
	}
}

// processTime returns the processor time that this process has used.
func processTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
