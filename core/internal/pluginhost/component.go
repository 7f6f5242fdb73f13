package pluginhost

import (
	"context"
	"fmt"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// Watcher returns the named plugin as a Watcher. Each call of it goes to the process that runs at the
// time, waits for one while there is none, and ends as sdk.IsUnavailable tells when it dies.
func (c *Catalog) Watcher(name string) sdk.Watcher { return component{c, name} }

// Transport returns the named plugin as a Transport, with the same ways as Watcher, but it waits no longer
// than a second.
func (c *Catalog) Transport(name string) sdk.Transport { return component{c, name} }

type component struct {
	catalog *Catalog
	name    string
}

var (
	_ sdk.Watcher   = component{}
	_ sdk.Transport = component{}
)

func (c component) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	lease, err := c.lease(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	return lease.Watch(ctx, req, r)
}

// startTimeout is how long a transfer waits for a process. What was checked about the source before
// the call must still be so when it begins.
const startTimeout = time.Second

func (c component) Sync(ctx context.Context, req sdk.SyncRequest, progress func(sdk.Progress)) (sdk.Result, error) {
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	lease, err := c.lease(starting)
	if starting.Err() != nil && ctx.Err() == nil {
		return sdk.Result{}, sdk.Unavailable(fmt.Errorf("plugin %s is not running: %w", c.name, err))
	}
	if err != nil {
		return sdk.Result{}, err
	}
	return lease.Sync(ctx, req, progress)
}

func (c component) lease(ctx context.Context) (*Lease, error) {
	p, err := c.catalog.Plugin(c.name)
	if err != nil {
		return nil, sdk.Misconfigured(err)
	}
	lease, err := p.Client(ctx)
	if err != nil {
		return nil, sdk.Unavailable(err)
	}
	return lease, nil
}
