package pluginhost

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

var pidRequest = sdk.SyncRequest{Changes: []sdk.Change{{Path: "pid"}}}

// A component outlives the processes behind it.
func TestComponentFindsTheNextProcess(t *testing.T) {
	h, _ := newTestHost(t, testTiming())
	tr := h.Catalog(nil).Transport("steady")
	first, err := tr.Sync(t.Context(), pidRequest, func(sdk.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(int(first.Files), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a call reaches a new process", 10*time.Second, func() bool {
		next, err := tr.Sync(t.Context(), pidRequest, func(sdk.Progress) {})
		if err != nil && !sdk.IsUnavailable(err) {
			t.Fatalf("call after the end: %v, want unavailable", err)
		}
		return err == nil && next.Files != first.Files
	})
}

func TestComponentWithoutAProcess(t *testing.T) {
	h, _ := newTestHost(t, testTiming())
	c := h.Catalog(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Watcher("broken").Watch(ctx, sdk.WatchRequest{}, nil); err != nil {
		t.Errorf("Watch until ctx ends: %v, want nil", err)
	}
	_, err := c.Transport("broken").Sync(ctx, pidRequest, nil)
	if !sdk.IsUnavailable(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sync until ctx ends: %v, want unavailable by the deadline", err)
	}
	_, err = c.Transport("s3").Sync(t.Context(), pidRequest, nil)
	if !sdk.IsMisconfigured(err) || !strings.Contains(err.Error(), `no plugin "s3"`) {
		t.Errorf("Sync of an unknown plugin: %v, want misconfigured", err)
	}
	if err := c.Watcher("s3").Watch(t.Context(), sdk.WatchRequest{}, nil); !sdk.IsMisconfigured(err) {
		t.Errorf("Watch of an unknown plugin: %v, want misconfigured", err)
	}
}
