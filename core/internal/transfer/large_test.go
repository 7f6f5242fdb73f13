package transfer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
)

// startLarge runs a destination whose source has a file d/big that is large. Its calls wait until release is closed.
func startLarge(t *testing.T, reply func(sdk.SyncRequest) (sdk.Result, error)) (f *fixture, release chan struct{}) {
	release = make(chan struct{})
	f = start(t, func(ctx context.Context, _ int, req sdk.SyncRequest) (sdk.Result, error) {
		if !req.Beside {
			if req.MaxSize == 0 {
				t.Error("a call that sends all")
			}
			if c := req.Changes[0]; c.Covers("d/big") && len(req.Busy) == 0 && len(req.Changes) == 1 {
				if _, err := os.Lstat(filepath.Join(f.source, "d/big")); err == nil {
					return sdk.Result{Large: []string{"d/big"}}, nil
				}
			}
			return sdk.Result{}, nil
		}
		select {
		case <-release:
		case <-ctx.Done():
			return sdk.Result{}, ctx.Err()
		}
		return reply(req)
	})
	f.Destination.config.LargeFile = 1
	if err := os.Mkdir(filepath.Join(f.source, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.source, "d/big"), []byte("big"), 0o644); err != nil {
		t.Fatal(err)
	}
	return f, release
}

func TestLargeFileGoesBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, release := startLarge(t, func(sdk.SyncRequest) (sdk.Result, error) { return sdk.Result{Files: 1}, nil })
		f.Add(sdk.Change{Path: "d/big"})
		time.Sleep(time.Second)
		f.Add(sdk.Change{Path: "small"})
		equal(t, f.transport.paths(), [][]string{{"d/big"}, {"d/big"}, {"small"}})
		if last := f.transport.last(); last.Beside || len(last.Busy) != 1 || last.Busy[0] != "d/big" {
			t.Errorf("the small one: %+v", last)
		}
		// It is neither in step nor forgotten.
		if f.log.count("in sync") != 0 {
			t.Error("in sync was said while it travels")
		}
		if r := f.Report(); r.State != status.Sending || r.Large != "d/big" || r.Pending != 1 || r.Progress == nil {
			t.Errorf("report: %+v", r)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.Flush(short); err == nil {
			t.Error("flush while it travels")
		}
		close(release)
		time.Sleep(time.Second)
		// The directories above are put right after it.
		equal(t, f.transport.paths()[3:], [][]string{{".", "d"}})
		if f.log.count("in sync") != 1 {
			t.Error("in sync is not said")
		}
		if err := f.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What the main lane could not do about a busy path it does afterwards, and a flush waits for that.
func TestChangeOfABusyPathComesAfter(t *testing.T) {
	for _, change := range []sdk.Change{{Path: "d/big"}, {Path: "d/big/x"}, {Scope: sdk.ScopeSubtree}, {Path: "d"}} {
		synctest.Test(t, func(t *testing.T) {
			f, release := startLarge(t, func(sdk.SyncRequest) (sdk.Result, error) { return sdk.Result{}, nil })
			f.Add(sdk.Change{Path: "d/big"})
			synctest.Wait()
			if err := os.RemoveAll(filepath.Join(f.source, "d")); err != nil {
				t.Fatal(err)
			}
			f.Add(change)
			flushed := make(chan error, 1)
			go func() { flushed <- f.Flush(t.Context()) }()
			time.Sleep(time.Second)
			if len(flushed) > 0 {
				t.Errorf("%v: flush is done: %v", change, <-flushed)
			}
			close(release)
			if err := <-flushed; err != nil {
				t.Error(err)
			}
			equal(t, f.transport.paths()[3:], [][]string{{".", "d", "d/big/"}})
			// It has gone, so that there is nothing to send any more.
			if f.transport.last().Beside || len(f.transport.last().Busy) > 0 {
				t.Errorf("%v: the last call is %+v", change, f.transport.last())
			}
		})
	}
}

// What was seen of a large file goes with it from one lane to the other and back: whether it was written decides whether
// it is compared by content.
func TestWhatWasSeenOfALargeFile(t *testing.T) {
	for _, tt := range []struct {
		name         string
		change       sdk.Change
		meanwhile    sdk.Op
		beside, then sdk.Op
	}{
		{"written", sdk.Change{Path: "d/big", Ops: sdk.OpWrite}, sdk.OpAttrib, sdk.OpWrite, sdk.OpAttrib},
		{"attributes", sdk.Change{Path: "d/big", Ops: sdk.OpAttrib}, sdk.OpWrite, sdk.OpAttrib, sdk.OpAttrib | sdk.OpWrite},
		{"not known", sdk.Change{Path: "d/big"}, 0, 0, sdk.OpAttrib | sdk.OpWrite},
		{"replaced", sdk.Change{Path: "d/big", Ops: sdk.OpCreate}, sdk.OpCreate | sdk.OpRename, sdk.OpCreate, sdk.OpAttrib | sdk.OpWrite},
		{"compared", sdk.Change{Scope: sdk.ScopeSubtree}, sdk.OpClose, sdk.OpAttrib, sdk.OpAttrib},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, release := startLarge(t, func(sdk.SyncRequest) (sdk.Result, error) { return sdk.Result{}, nil })
			f.Add(tt.change)
			time.Sleep(time.Second)
			if last := f.transport.last(); !last.Beside || last.Changes[0].Ops != tt.beside {
				t.Errorf("%s: %+v", tt.name, last)
			}
			f.Add(sdk.Change{Path: "d/big", Ops: tt.meanwhile})
			time.Sleep(time.Second)
			close(release)
			time.Sleep(time.Second)
			changes := f.transport.last().Changes
			i := slices.IndexFunc(changes, func(c sdk.Change) bool { return c.Path == "d/big" })
			if i < 0 || changes[i].Ops != tt.then {
				t.Errorf("%s: then %v", tt.name, changes)
			}
		})
	}
}

// Whatever ends a transfer in general ends that of a large file too, and it is tried again.
func TestLargeFileFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int32
		f, release := startLarge(t, func(sdk.SyncRequest) (sdk.Result, error) {
			switch tries.Add(1) {
			case 1:
				return sdk.Result{}, sdk.Unavailable(errors.New("no route to host"))
			case 2:
				return sdk.Result{Failed: []sdk.PathError{{Path: "d/big", Text: "permission denied"}}}, nil
			case 3:
				return sdk.Result{Failed: []sdk.PathError{{Path: "d", Text: "had been lost"}}}, nil
			}
			return sdk.Result{}, nil
		})
		f.Add(sdk.Change{Path: "d/big"})
		synctest.Wait()
		f.Interrupt() // as a mount does
		close(release)
		synctest.Wait()
		if r := f.Report(); r.State != status.Away || r.Away == nil || !strings.Contains(r.Away.Text, "no route") {
			t.Errorf("report: %+v", r)
		}
		time.Sleep(3 * time.Second)
		if r := f.Report(); r.State != status.Failing || len(r.Failing) != 1 || r.Failing[0].Path != "d/big" {
			t.Errorf("report: %+v", r)
		}
		f.Pause()
		time.Sleep(time.Hour)
		if tries.Load() != 2 {
			t.Errorf("%d tries while paused", tries.Load())
		}
		f.Resume()
		time.Sleep(time.Hour)
		synctest.Wait()
		compared := false
		for _, call := range f.transport.calls {
			compared = compared || call.Changes[0].Path == "d" && call.Changes[0].Scope == sdk.ScopeSubtree || len(call.Changes) > 1 && call.Changes[1].String() == "d/"
		}
		// The comparison of d names d/big once more if it is a call of its own.
		if n := tries.Load(); n < 3 || n > 4 || !compared || f.log.count("in sync") == 0 {
			t.Errorf("%d tries, d was compared: %v, %q", tries.Load(), compared, f.transport.paths())
		}
	})
}

// While both lanes are at work, how much is done is told of what began first.
func TestProgressOfBothLanes(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	long := status.Progress{Since: began, Files: 1, Bytes: 100, Portion: 0.25}
	short := status.Progress{Since: began.Add(time.Minute), Files: 2, Bytes: 10, Portion: 0.75}
	want := status.Progress{Since: began, Files: 3, Bytes: 110, Portion: 0.25}
	for _, tt := range []struct{ main, large status.Progress }{{short, long}, {long, short}} {
		d := &Destination{main: &lane{progress: &sending{tt.main, true}}, large: &lane{progress: &sending{tt.large, false}}}
		if got := d.sending(); got.Progress != want || !got.full {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
