package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/filewatch/filewatch/core/internal/control"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/core/internal/transfer"
	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
)

// fresh is how long Status waits for proof that what seems to be in step still is.
const fresh = 300 * time.Millisecond

var _ control.Daemon = (*Engine)(nil)

// Status implements control.Daemon. It takes up to 300 ms.
func (e *Engine) Status() status.Report {
	ctx, cancel := context.WithTimeout(e.world.base(), fresh)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range e.blocks() {
		ctx := turn.As(ctx, s.plan.Name)
		wg.Go(func() { s.refresh(ctx) })
	}
	wg.Wait()
	r := status.Report{Version: e.config.Version, PID: os.Getpid(), StateDir: e.config.Plan.StateDir, Started: e.started, Now: time.Now()}
	// Anew: some may have ended meanwhile.
	for _, s := range e.blocks() {
		r.Syncs = append(r.Syncs, s.report())
	}
	return r
}

// Flush implements control.Daemon.
func (e *Engine) Flush(ctx context.Context, name string) error {
	return e.each(ctx, name, func(ctx context.Context, d *transfer.Destination) error { return d.Flush(ctx) })
}

// Pause implements control.Daemon.
func (e *Engine) Pause(name string) error {
	return e.of(name, func(s *syncBlock) error { s.pause(true); return nil })
}

// Resume implements control.Daemon.
func (e *Engine) Resume(name string) error {
	return e.of(name, func(s *syncBlock) error { s.pause(false); return nil })
}

// Resync implements control.Daemon.
func (e *Engine) Resync(name string) error {
	return e.of(name, func(s *syncBlock) error { s.resync(); return nil })
}

// Approve implements control.Daemon.
func (e *Engine) Approve(name string) (approved []string, err error) {
	err = e.of(name, func(s *syncBlock) error {
		approved, err = s.approve()
		return err
	})
	return approved, err
}

// ApproveTold lets through once, in the Once that follows, what the run before has told that it holds, and
// returns that in words: a source as long as it is seen as it was then, deletions as long as they are no more.
func (e *Engine) ApproveTold(name string) (approved []string, err error) {
	err = e.of(name, func(s *syncBlock) error {
		approved, err = s.approveTold()
		return err
	})
	return approved, err
}

// Verify implements control.Daemon.
func (e *Engine) Verify(ctx context.Context, name string, repair bool, found func(destination string, d sdk.Difference)) error {
	return e.each(ctx, name, func(ctx context.Context, d *transfer.Destination) error {
		var differences []sdk.Difference
		err := d.Verify(ctx, func(diff sdk.Difference) {
			differences = append(differences, diff)
			found(d.String(), diff)
		})
		if err != nil || !repair || len(differences) == 0 {
			return err
		}
		return d.Repair(ctx, differences)
	})
}

// of calls do with the sync of that name.
func (e *Engine) of(name string, do func(*syncBlock) error) error {
	blocks := e.blocks()
	i := slices.IndexFunc(blocks, func(s *syncBlock) bool { return s.plan.Name == name })
	if i < 0 {
		return e.unknown(name)
	}
	return blocks[i].term.use(context.Background(), func(context.Context) error { return do(blocks[i]) })
}

func (e *Engine) unknown(name string) error { return fmt.Errorf("there is no sync %q", name) }

// each calls do for each destination of the sync of that name, of all syncs for "", at the same time.
func (e *Engine) each(ctx context.Context, name string, do func(context.Context, *transfer.Destination) error) error {
	var (
		mu   sync.Mutex
		errs []error
		wg   sync.WaitGroup
	)
	known := name == ""
	for _, s := range e.blocks() {
		if name != "" && s.plan.Name != name {
			continue
		}
		known = true
		for _, d := range s.destinations {
			ctx := turn.As(ctx, s.plan.Name+" "+d.String())
			wg.Go(func() {
				turn.Wait(ctx)
				if err := s.term.use(ctx, func(ctx context.Context) error { return do(ctx, d) }); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, fmt.Errorf("sync %q: %s: %w", s.plan.Name, d, err))
				}
			})
		}
	}
	wg.Wait()
	if !known {
		return e.unknown(name)
	}
	return errors.Join(errs...)
}
