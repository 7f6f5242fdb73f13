package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/filewatch/filewatch/sdk/schema"
	"github.com/filewatch/filewatch/sdk/wire/pluginpb"
)

// Client is the host's side of the protocol: the filewatch core and the test kit use it, a plugin has
// no need of it. It is a Watcher and a Transport itself, so that a host need not know whether it talks
// to a process. In requests to it, Config is the decoded block as JSON: a json.RawMessage or nil.
//
// Errors of its calls satisfy IsUnavailable and so on as in the plugin; a broken connection reads as
// IsUnavailable. It is safe for concurrent use.
type Client struct {
	plugin    pluginpb.PluginServiceClient
	watcher   pluginpb.WatcherServiceClient
	transport pluginpb.TransportServiceClient
}

var (
	_ Watcher   = (*Client)(nil)
	_ Transport = (*Client)(nil)
)

// Kind is one of the two things a plugin may be.
type Kind uint8

// The kinds.
const (
	KindWatcher Kind = iota
	KindTransport
)

// String returns the name of the block that configures the kind: "watcher" or "transport".
func (k Kind) String() string {
	if k == KindTransport {
		return "transport"
	}
	return "watcher"
}

// Description is what a plugin says of itself.
type Description struct {
	Name      string
	Version   string
	Watcher   *schema.Schema // nil when it is no watcher
	Transport *schema.Schema // nil when it is no transport
}

// Component returns the schema of the kind, or nil when the plugin is not of that kind.
func (d Description) Component(k Kind) *schema.Schema {
	if k == KindTransport {
		return d.Transport
	}
	return d.Watcher
}

// NewClient returns a client of the plugin at the other end of conn.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{
		plugin:    pluginpb.NewPluginServiceClient(conn),
		watcher:   pluginpb.NewWatcherServiceClient(conn),
		transport: pluginpb.NewTransportServiceClient(conn),
	}
}

// Describe asks the plugin what it is.
func (c *Client) Describe(ctx context.Context) (Description, error) {
	resp, err := c.plugin.Describe(ctx, &pluginpb.DescribeRequest{})
	if err != nil {
		return Description{}, fromStatus(ctx, err)
	}
	d := Description{Name: resp.GetName(), Version: resp.GetVersion()}
	if resp.GetWatcher() != nil {
		s := schemaFromProto(resp.GetWatcher().GetSchema())
		d.Watcher = &s
	}
	if resp.GetTransport() != nil {
		s := schemaFromProto(resp.GetTransport().GetSchema())
		d.Transport = &s
	}
	return d, nil
}

// Validate asks the plugin to judge a configuration.
func (c *Client) Validate(ctx context.Context, kind Kind, req ValidateRequest) (Diagnostics, error) {
	config, err := configJSON(req.Config)
	if err != nil {
		return nil, err
	}
	resp, err := c.plugin.Validate(ctx, &pluginpb.ValidateRequest{
		Kind:        pluginpb.Kind(kind) + pluginpb.Kind_KIND_WATCHER,
		Sync:        req.Sync,
		Source:      []byte(req.Source),
		Destination: endpointToProto(req.Destination),
		Exclude:     req.Exclude,
		ConfigJson:  config,
	})
	if err != nil {
		return nil, fromStatus(ctx, err)
	}
	return diagnosticsFromProto(resp.GetDiagnostics()), nil
}

// Drain asks the plugin to end its work within timeout.
func (c *Client) Drain(ctx context.Context, timeout time.Duration) error {
	_, err := c.plugin.Drain(ctx, &pluginpb.DrainRequest{TimeoutMs: uint32(timeout.Milliseconds())})
	return fromStatus(ctx, err)
}

// Watch watches through the plugin. A batch is acknowledged when its r.Change calls have returned.
func (c *Client) Watch(ctx context.Context, req WatchRequest, r Reporter) error {
	config, err := configJSON(req.Config)
	if err != nil {
		return err
	}
	// Without this the stream would live on in gRPC when Watch returns early.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.watcher.Watch(ctx)
	if err != nil {
		return fromStatus(ctx, err)
	}
	w := &watchStream{stream: stream, barriers: make(map[uint64]Barrier)}
	w.send(&pluginpb.WatchRequest{Message: &pluginpb.WatchRequest_Open_{Open: &pluginpb.WatchRequest_Open{
		Sync:       req.Sync,
		Root:       []byte(req.Root),
		Exclude:    req.Exclude,
		Only:       pathsToProto(req.Only),
		ConfigJson: config,
	}}})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { w.ask(ctx, req.Barriers) })
	for {
		resp, err := stream.Recv()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return errors.New("the watcher ended without an error")
		}
		if err != nil {
			return fromStatus(ctx, err)
		}
		w.received(resp, r)
	}
}

// Sync transfers through the plugin.
func (c *Client) Sync(ctx context.Context, req SyncRequest, progress func(Progress)) (Result, error) {
	config, err := configJSON(req.Config)
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.transport.Sync(ctx, &pluginpb.SyncRequest{
		Sync:        req.Sync,
		Id:          req.ID,
		Attempt:     uint32(req.Attempt),
		Source:      []byte(req.Source),
		Destination: endpointToProto(req.Destination),
		Exclude:     req.Exclude,
		Delete:      req.Delete,
		MaxDelete:   req.MaxDelete,
		Changes:     changesToProto(req.Changes),
		MaxSize:     req.MaxSize,
		Beside:      req.Beside,
		Busy:        pathsToProto(req.Busy),
		MayDefer:    req.MayDefer,
		List:        req.List,
		DryRun:      req.DryRun,
		ConfigJson:  config,
	})
	if err != nil {
		return Result{}, fromStatus(ctx, err)
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return Result{}, errors.New("the transport ended without a result")
		}
		if err != nil {
			return Result{}, fromStatus(ctx, err)
		}
		switch m := resp.GetMessage().(type) {
		case *pluginpb.SyncResponse_Progress:
			progress(progressFromProto(m.Progress))
		case *pluginpb.SyncResponse_Result:
			result := resultFromProto(m.Result)
			for _, f := range result.Failed {
				if !validPath(f.Path) {
					return Result{}, fmt.Errorf("the transport says that %q failed (%s), which is no path relative to the root: nothing counts as transferred", f.Path, f.Text)
				}
			}
			left := slices.Concat(result.Large, result.Deferred)
			if i := slices.IndexFunc(left, invalidPath); i >= 0 {
				return Result{}, fmt.Errorf("the transport says that it left out %q, which is no path relative to the root: nothing counts as transferred", left[i])
			}
			return result, nil
		}
	}
}

func configJSON(config any) ([]byte, error) {
	switch config := config.(type) {
	case nil:
		return nil, nil
	case json.RawMessage:
		return config, nil
	}
	return nil, fmt.Errorf("configuration is a %T, not a json.RawMessage", config)
}
