package transfer

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filewatch/filewatch/core/internal/state"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
)

// readying has the transport answer so to the request that it make itself ready.
func readying(ready func(ctx context.Context) error) func(*Config) {
	return func(c *Config) { c.Transport.(*transport).ready = ready }
}

// The transport makes itself ready before there is any change to send, as long as the watcher does the same. The
// first transfer waits for it.
func TestFirstTransferWaitsUntilTheTransportIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, ready := make(chan struct{}), make(chan struct{})
		f := start(t, ok, readying(func(context.Context) error {
			close(asked) // once
			<-ready
			return nil
		}))
		<-asked
		f.Add(everything)
		equal(t, f.transport.paths(), nil)
		if got := f.Report().State; got != status.Pending {
			t.Errorf("%q meanwhile", got)
		}
		close(ready)
		equal(t, f.transport.paths(), [][]string{{"./"}})
		f.Add(sdk.Change{Path: "a"})
		equal(t, f.transport.paths(), [][]string{{"./"}, {"a"}})
		if f.log.count("in sync") != 2 {
			t.Errorf("log: %s", f.log.b.String())
		}
	})
}

// A transport that cannot make itself ready, or takes for ever, holds nothing up, and nobody is told.
func TestTransportThatDoesNotMakeItselfReady(t *testing.T) {
	for name, ready := range map[string]func(context.Context) error{
		"fails": func(context.Context) error { return sdk.Misconfigured(errors.New("no rsync")) },
		"hangs": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, ok, readying(ready))
				f.Add(sdk.Change{Path: "a"})
				time.Sleep(readyPatience)
				equal(t, f.transport.paths(), [][]string{{"a"}})
				if f.log.count("[WARN]") != 0 || f.log.count("[ERROR]") != 0 || f.log.count("in sync") != 1 {
					t.Errorf("log: %s", f.log.b.String())
				}
			})
		})
	}
}

func TestShutdownDoesNotWaitUntilTheTransportIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := start(t, ok, readying(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
		f.Add(sdk.Change{Path: "a"})
		synctest.Wait()
		f.stop()
		<-f.ended
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
		equal(t, f.transport.paths(), nil)
	})
}

// Where nothing may be sent, or not by all at once, the transport is not asked at all.
func TestTransportIsNotAskedToMakeItselfReady(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"paused":        func(c *Config) { c.Record.Update(func(s *state.Sync) { s.Paused = true }) },
		"no source":     func(c *Config) { _ = os.Remove(c.Source) },
		"max_transfers": func(c *Config) { c.Slots = NewSlots(8) },
		"":              func(*Config) {}, // it is
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := false
				start(t, ok, change, readying(func(context.Context) error { asked = true; return nil }))
				synctest.Wait()
				if want := name == ""; asked != want {
					t.Errorf("asked %v, want %v", asked, want)
				}
			})
		})
	}
}
