package watch

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/fstype"
)

// Auto is a watcher that takes, each time it is started, the one that fits the root's file system.
type Auto struct {
	Local  sdk.Watcher // where this kernel makes all changes
	Remote sdk.Watcher // where others do
	Logger hclog.Logger

	remote func(root string) (fstype.Type, error) // nil = fstype.Of
}

var _ sdk.Watcher = (*Auto)(nil)

// Watch watches as the chosen watcher does.
func (a *Auto) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	typeOf := a.remote
	if typeOf == nil {
		typeOf = fstype.Of
	}
	// Of a root that cannot be looked at the watcher tells more.
	if t, err := typeOf(req.Root); err == nil && t.Remote {
		a.Logger.Info("polling, because other hosts or programs change what is on this file system and the kernel does not tell", "root", req.Root, "type", t.Name)
		return a.Remote.Watch(ctx, req, r)
	}
	return a.Local.Watch(ctx, req, r)
}
