package sdk

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/filewatch/filewatch/sdk/schema"
	"github.com/filewatch/filewatch/sdk/wire/pluginpb"
)

// server is the plugin's side of the protocol.
type server struct {
	pluginpb.UnimplementedPluginServiceServer
	pluginpb.UnimplementedWatcherServiceServer
	pluginpb.UnimplementedTransportServiceServer

	plugin      Plugin
	description *pluginpb.DescribeResponse
	logger      hclog.Logger
	work        *work // Sync calls
	watches     *work // Watch streams
	turns       turns // of Sync calls
	closed      sync.Once
}

func newServer(p Plugin, logger hclog.Logger) *server {
	mustBeValid(p)
	s := &server{plugin: p, logger: logger, work: newWork(), watches: newWork(), turns: turns{busy: map[turn]chan struct{}{}}}
	s.description = &pluginpb.DescribeResponse{Name: p.Name, Version: p.Version}
	if p.Watcher != nil {
		s.description.Watcher = &pluginpb.Component{Schema: schemaToProto(schemaOf(p.Watcher))}
	}
	if p.Transport != nil {
		s.description.Transport = &pluginpb.Component{Schema: schemaToProto(schemaOf(p.Transport))}
	}
	return s
}

func (s *server) register(g *grpc.Server) {
	pluginpb.RegisterPluginServiceServer(g, s)
	if s.plugin.Watcher != nil {
		pluginpb.RegisterWatcherServiceServer(g, s)
	}
	if s.plugin.Transport != nil {
		pluginpb.RegisterTransportServiceServer(g, s)
	}
}

func (s *server) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	return s.description, nil
}

func (s *server) Validate(ctx context.Context, req *pluginpb.ValidateRequest) (*pluginpb.ValidateResponse, error) {
	var component any
	switch req.GetKind() {
	case pluginpb.Kind_KIND_WATCHER:
		component = s.plugin.Watcher
	case pluginpb.Kind_KIND_TRANSPORT:
		component = s.plugin.Transport
	}
	if component == nil {
		return nil, status.Errorf(codes.Unimplemented, "plugin %s is no %v", s.plugin.Name, req.GetKind())
	}
	config, err := decodeConfig(component, req.GetConfigJson())
	if err != nil {
		return &pluginpb.ValidateResponse{Diagnostics: diagnosticsToProto(configDiagnostics(err))}, nil
	}
	v, ok := component.(Validator)
	if !ok {
		return &pluginpb.ValidateResponse{}, nil
	}
	diags := v.Validate(s.callContext(ctx, req.GetSync()), ValidateRequest{
		Sync:        req.GetSync(),
		Source:      string(req.GetSource()),
		Destination: endpointFromProto(req.GetDestination()),
		Exclude:     req.GetExclude(),
		Config:      config,
	})
	return &pluginpb.ValidateResponse{Diagnostics: diagnosticsToProto(diags)}, nil
}

func (s *server) Drain(_ context.Context, req *pluginpb.DrainRequest) (*pluginpb.DrainResponse, error) {
	go s.watches.drain(0) // nothing in them is worth waiting for
	s.work.drain(time.Duration(req.GetTimeoutMs()) * time.Millisecond)
	return &pluginpb.DrainResponse{}, nil
}

func (s *server) Sync(req *pluginpb.SyncRequest, stream grpc.ServerStreamingServer[pluginpb.SyncResponse]) error {
	ctx, done, err := s.work.begin(s.callContext(stream.Context(), req.GetSync()))
	if err != nil {
		return toStatus(stream.Context(), err)
	}
	defer done()
	config, err := decodeConfig(s.plugin.Transport, req.GetConfigJson())
	if err != nil {
		return toStatus(ctx, Misconfigured(err))
	}
	over, err := s.turns.take(ctx, turn{req.GetSync(), endpointFromProto(req.GetDestination()), req.GetBeside()})
	if err != nil {
		return toStatus(ctx, err)
	}
	defer over()
	result, err := s.plugin.Transport.Sync(ctx, SyncRequest{
		Sync:        req.GetSync(),
		ID:          req.GetId(),
		Attempt:     int(req.GetAttempt()),
		Source:      string(req.GetSource()),
		Destination: endpointFromProto(req.GetDestination()),
		Exclude:     req.GetExclude(),
		Delete:      req.GetDelete(),
		MaxDelete:   req.GetMaxDelete(),
		Changes:     changesFromProto(req.GetChanges()),
		MaxSize:     req.GetMaxSize(),
		Beside:      req.GetBeside(),
		Busy:        pathsFromProto(req.GetBusy()),
		MayDefer:    req.GetMayDefer(),
		List:        req.GetList(),
		DryRun:      req.GetDryRun(),
		Config:      config,
	}, func(p Progress) {
		for _, m := range progressToProto(p) {
			// A stream that cannot be written to has ended; ctx tells Sync.
			_ = stream.Send(&pluginpb.SyncResponse{Message: &pluginpb.SyncResponse_Progress{Progress: m}})
		}
	})
	if err != nil {
		return toStatus(ctx, err)
	}
	return stream.Send(&pluginpb.SyncResponse{Message: &pluginpb.SyncResponse_Result{Result: resultToProto(result)}})
}

// callContext is the context of a call for one sync block: it carries the block's logger.
func (s *server) callContext(ctx context.Context, sync string) context.Context {
	return hclog.WithContext(ctx, s.logger, "sync", sync)
}

// recoverUnary and recoverStream turn a panic in one call into that call's error: one sync block must
// not end the process that serves its neighbours.
func (s *server) recoverUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	defer s.recovered(&err)
	return handler(ctx, req)
}

func (s *server) recoverStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer s.recovered(&err)
	return handler(srv, stream)
}

// recovered is deferred where a panic must become *err.
func (s *server) recovered(err *error) {
	if r := recover(); r != nil {
		s.logger.Error("panic", "err", r, "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "plugin %s panicked: %v", s.plugin.Name, r)
	}
}

// schemaOf returns the schema of a component's block; a component without configuration has none.
func schemaOf(component any) schema.Schema {
	if c, ok := component.(Configurable); ok {
		return schema.Of(c.Config())
	}
	return schema.Schema{}
}

// decodeConfig fills a component's configuration from the block's values.
func decodeConfig(component any, data []byte) (any, error) {
	c, ok := component.(Configurable)
	if !ok {
		return nil, nil
	}
	config := c.Config()
	return config, schema.Decode(data, config)
}

// configDiagnostics turns the error of decodeConfig into findings at their attributes.
func configDiagnostics(err error) Diagnostics {
	var diags Diagnostics
	all, _ := errors.AsType[schema.Errors](err)
	for _, e := range all {
		diags.AddAttributeError(e.Path, "Invalid value", e.Text)
	}
	return diags
}
