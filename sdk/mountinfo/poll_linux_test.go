package mountinfo

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk/plugintest/isolate"
)

func TestPollEnds(t *testing.T) {
	table, err := os.Open(Table)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Poll(ctx, table, time.Hour, func() {})
	}()
	cancel()
	_ = table.Close()
	<-ended
}

// Whatever happens while a change is being told of is told too.
func TestPollMissesNothing(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	table, err := os.Open(Table)
	if err != nil {
		t.Fatal(err)
	}
	var seen atomic.Int64 // how many mounts there were when the last change was told
	count := func() int64 {
		all, err := Read()
		if err != nil {
			t.Error(err)
		}
		return int64(len(all))
	}
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		Poll(ctx, table, time.Hour, func() {
			seen.Store(count())
			time.Sleep(time.Millisecond) // so that more happens meanwhile
		})
	}()
	dir := t.TempDir()
	for i := range 100 {
		for _, name := range []string{"a", "b"} {
			at := filepath.Join(dir, name)
			if err := os.MkdirAll(at, 0o755); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				err = unix.Mount("none", at, "tmpfs", 0, "")
			} else {
				err = unix.Unmount(at, 0)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		want := count()
		for deadline := time.Now().Add(10 * time.Second); seen.Load() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: %d mounts, %d were seen", i, want, seen.Load())
			}
		}
	}
	cancel()
	_ = table.Close()
	<-ended
}

func TestChanges(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	c, err := NewChanges()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := t.TempDir()
	expect := func(want bool, after string) {
		t.Helper()
		if c.Happened() != want {
			t.Errorf("after %s: %t", after, !want)
		}
	}
	expect(false, "nothing")
	for range 100 {
		if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		expect(true, "mount")
		expect(false, "telling")
		if err := unix.Unmount(dir, 0); err != nil {
			t.Fatal(err)
		}
		expect(true, "umount")
		expect(false, "telling")
	}
}
