package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
)

// BenchmarkChange measures the way of one small change in a tree of 10,000 files to the far end over
// ssh, until it is visible there, beside the run that the classic script does for each event. The two
// alternate; "script/filewatch" is how many times longer the script takes.
func BenchmarkChange(b *testing.B) {
	const directories, files = 100, 100
	base := b.TempDir()
	source, destination, peer := filepath.Join(base, "source"), filepath.Join(base, "destination"), filepath.Join(base, "peer")
	for i := range directories {
		dir := filepath.Join(source, fmt.Sprint(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		for j := range files {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(j)), []byte("text"), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, dir := range []string{destination, peer} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	server := sshd.Start(b, sshd.Config{})
	script := func() {
		cmd := exec.Command("rsync", "-az", "--delete", "--timeout=100", "-e", "ssh -F "+server.ConfigFile, source+"/", "127.0.0.1:"+peer)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("rsync: %v\n%s", err, out)
		}
	}
	script()
	d := startDaemon(b, sshSync("bench", source, destination, server, ""))
	d.waitMessage(0, "bench", "in sync")

	var ours, theirs time.Duration
	n := 0
	for b.Loop() {
		n++
		name, text := fmt.Sprint(n%directories, "/", n%files), fmt.Sprint("change ", n)
		started := time.Now()
		if err := os.WriteFile(filepath.Join(source, name), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
		for {
			if got, err := os.ReadFile(filepath.Join(destination, name)); err == nil && string(got) == text {
				break
			}
			time.Sleep(100 * time.Microsecond)
		}
		ours += time.Since(started)
		started = time.Now()
		script()
		theirs += time.Since(started)
	}
	b.ReportMetric(float64(ours.Milliseconds())/float64(n), "filewatch-ms")
	b.ReportMetric(float64(theirs.Milliseconds())/float64(n), "script-ms")
	b.ReportMetric(float64(theirs)/float64(ours), "script/filewatch")
}
