package pluginhost

import (
	"context"

	"github.com/filewatch/filewatch/sdk"
)

// Watcher returns the named plugin as a watcher. Its calls wait until a process runs, and fail as
// sdk.IsUnavailable reports when that is gone; the next call takes the next process.
func (c *Catalog) Watcher(name string) sdk.Watcher { return component{c, name} }

// Transport returns the named plugin as a transport, under the rules of Watcher.
func (c *Catalog) Transport(name string) sdk.Transport { return component{c, name} }

// component is a plugin by its name, whichever process is it now.
type component struct {
	catalog *Catalog
	name    string
}

func (c component) lease(ctx context.Context) (*Lease, error) {
	plugin, err := c.catalog.Plugin(c.name)
	if err != nil {
		return nil, err
	}
	return plugin.Client(ctx)
}

func (c component) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	lease, err := c.lease(ctx)
	if err != nil {
		return err
	}
	return lease.Watch(ctx, req, r)
}

func (c component) Sync(ctx context.Context, req sdk.SyncRequest, progress func(sdk.Progress)) (sdk.Result, error) {
	lease, err := c.lease(ctx)
	if err != nil {
		return sdk.Result{}, err
	}
	return lease.Sync(ctx, req, progress)
}
