package pluginhost

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/filewatch/filewatch/sdk/wire/pluginpb"
)

// verdict replaces the error of a call on a process that is gone. What gRPC makes of the end depends
// on what it notices first, and may read as if the caller had cancelled the call.
func (g *generation) verdict(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	select {
	case <-g.done:
		return status.Errorf(codes.Unavailable, "plugin %s is gone: %v", g.proc.name, g.err)
	default:
		return err
	}
}

func (g *generation) unaryCall(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return g.verdict(invoke(ctx, method, req, reply, cc, opts...))
}

func (g *generation) streamCall(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, g.verdict(err)
	}
	if method == pluginpb.TransportService_Sync_FullMethodName {
		go g.askDuring(s.Context()) // which ends with the call
	}
	return &stream{s, g}, nil
}

// askDuring has the process asked now and then whether it answers, until ctx ends: somebody waits for it.
func (g *generation) askDuring(ctx context.Context) {
	ticker := time.NewTicker(g.timing.callInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		select {
		case g.ask <- struct{}{}:
		default:
		}
	}
}

type stream struct {
	grpc.ClientStream
	g *generation
}

func (s *stream) RecvMsg(m any) error { return s.g.verdict(s.ClientStream.RecvMsg(m)) }
