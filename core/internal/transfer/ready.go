package transfer

import (
	"context"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// readyPatience bounds how long the first transfer may have to wait for makeReady. A host that does not answer
// is told of by the first transfer alone, which must not come much later for that.
const readyPatience = 10 * time.Second

// makeReady has the transport connect and look about, so that the first transfer need not: it comes when the
// watcher is ready, which takes as long. What must hold for a transfer must hold for it; if it does not, or if it
// fails, the first transfer does without.
//
// Where the transfers under way at a time are bounded, so are the connections that are made at a time: there
// it does nothing.
func (d *Destination) makeReady(ctx context.Context) {
	release := d.acquire(ctx)
	if release == nil {
		return
	}
	defer release()
	if d.config.Slots.limited() || d.isPaused() || d.config.Guard.Check() != nil {
		return
	}
	leave, err := d.enterPlace()
	if err != nil {
		return
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	req := d.request(nil)
	req.ID = "ready"
	if _, err := d.config.Transport.Sync(ctx, req, func(sdk.Progress) {}); err != nil {
		d.config.Logger.Debug("the transport has not made itself ready", "err", err)
	}
}
