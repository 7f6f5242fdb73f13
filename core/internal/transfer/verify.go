package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

const (
	// verifyQuiet is how long a comparison waits for what was under way while it was made.
	verifyQuiet = 10 * time.Second
	// verifyBatch is how many paths are looked at again in one go.
	verifyBatch = 5000
)

// Verify compares source and destination, changes nothing, and calls found for each difference. What
// differs is looked at again after what is under way has arrived, so that it is no change that was just
// being made. It waits for the transfer under way, and others wait for it. The error says what could not
// be compared.
func (d *Destination) Verify(ctx context.Context, found func(sdk.Difference)) error {
	hidden := d.heldMounts()
	if err := d.verify(ctx, found); err != nil {
		return err
	}
	if len(hidden) == 0 {
		hidden = d.heldMounts()
	}
	if len(hidden) > 0 {
		return mountError(hidden)
	}
	return nil
}

// verify is Verify of all that is not held.
func (d *Destination) verify(ctx context.Context, found func(sdk.Difference)) error {
	seen, err := d.differences(ctx, []sdk.Change{everything})
	if err != nil || len(seen) == 0 {
		return err
	}
	quiet, cancel := context.WithTimeout(ctx, verifyQuiet)
	defer cancel()
	// What cannot arrive now differs, whatever the reason.
	_ = d.Flush(quiet)
	for chunk := range slices.Chunk(seen, verifyBatch) {
		var changes []sdk.Change
		for _, diff := range chunk {
			changes = append(changes, sdk.Change{Path: diff.Path})
		}
		still, err := d.differences(ctx, changes)
		if err != nil {
			return err
		}
		for _, diff := range still {
			found(diff)
		}
	}
	return nil
}

// Repair sends what Verify has found, and returns when it has arrived.
func (d *Destination) Repair(ctx context.Context, found []sdk.Difference) error {
	for _, diff := range found {
		d.Add(sdk.Change{Path: diff.Path})
	}
	return d.Flush(ctx)
}

// differences lists what differs at and below changes, each path once.
func (d *Destination) differences(ctx context.Context, changes []sdk.Change) ([]sdk.Difference, error) {
	// Now, for a transfer that hangs with its source would be waited for.
	if err := d.config.Guard.Check(); err != nil {
		return nil, err
	}
	release := d.acquire(ctx)
	if release == nil {
		return nil, fmt.Errorf("a transfer to %s is under way: %w", d, ctx.Err())
	}
	defer release()
	if err := d.config.Guard.Check(); err != nil {
		return nil, err
	}
	leave, err := d.enterPlace()
	if err != nil {
		return nil, err
	}
	defer leave()
	req := d.request(changes)
	req.ID = "verify"
	req.List, req.DryRun = true, true
	d.mu.Lock()
	if b := d.now.busy; b != nil {
		req.Busy = []string{b.path}
	}
	d.mu.Unlock()
	var list []sdk.Difference
	result, err := d.config.Transport.Sync(ctx, req, func(p sdk.Progress) {
		if len(list) <= maxDifferences {
			list = append(list, p.Differences...)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case len(result.Failed) > 0:
		return nil, fmt.Errorf("%d paths could not be compared, the first is %s: %s", len(result.Failed), sdk.Change{Path: result.Failed[0].Path}, result.Failed[0].Text)
	case len(list) > maxDifferences:
		return nil, errors.New("more than 100,000 paths differ; `filewatch resync` brings them in step")
	}
	slices.SortFunc(list, func(a, b sdk.Difference) int { return cmp.Compare(a.Path, b.Path) })
	return slices.CompactFunc(list, func(a, b sdk.Difference) bool { return a.Path == b.Path }), nil
}
