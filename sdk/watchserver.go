package sdk

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/filewatch/filewatch/sdk/wire/pluginpb"
)

// Watch runs the plugin's Watcher and sends what it reports. At most one batch is unacknowledged;
// everything else waits in reports, where it can still be merged.
func (s *server) Watch(stream grpc.BidiStreamingServer[pluginpb.WatchRequest, pluginpb.WatchResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	open := first.GetOpen()
	if open == nil {
		return status.Error(codes.InvalidArgument, "the first request of a Watch stream must be Open")
	}
	ctx, done, err := s.watches.begin(s.callContext(stream.Context(), open.GetSync()))
	if err != nil {
		return toStatus(stream.Context(), err)
	}
	defer done()
	config, err := decodeConfig(s.plugin.Watcher, open.GetConfigJson())
	if err != nil {
		return toStatus(ctx, Misconfigured(err))
	}

	ctx, cancel := context.WithCancel(ctx)
	r := newReports()
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		defer func() { ended <- err }()
		defer s.recovered(&err)
		err = s.plugin.Watcher.Watch(ctx, WatchRequest{
			Sync:    open.GetSync(),
			Root:    string(open.GetRoot()),
			Exclude: open.GetExclude(),
			Config:  config,
		}, r)
	})
	acks := make(chan uint64)
	// It ends with the stream, which outlives this call by a moment.
	go func() {
		defer close(acks)
		for {
			req, err := stream.Recv()
			if err != nil {
				return // the stream has ended, and its context with it
			}
			select {
			case acks <- req.GetAck().GetSeq():
			case <-ctx.Done():
				return
			}
		}
	}()

	err = s.sendReports(ctx, stream, r, acks, ended)
	cancel()
	wg.Wait()
	return err
}

// sendReports sends what r gathers until the watcher or the stream ends.
func (s *server) sendReports(ctx context.Context, stream grpc.BidiStreamingServer[pluginpb.WatchRequest, pluginpb.WatchResponse], r *reports, acks <-chan uint64, ended <-chan error) error {
	var seq, acked uint64
	readySent := false
	for {
		select {
		case <-r.wake:
		case n, ok := <-acks:
			if !ok {
				acks = nil
				continue
			}
			acked = n
		case err := <-ended:
			return toStatus(ctx, err)
		}
		if !readySent && r.isReady() {
			readySent = true
			if err := stream.Send(&pluginpb.WatchResponse{Message: &pluginpb.WatchResponse_Ready_{Ready: &pluginpb.WatchResponse_Ready{}}}); err != nil {
				return err
			}
		}
		if u := r.takeUnwatched(); u != nil {
			if err := stream.Send(unwatchedToProto(u)); err != nil {
				return err
			}
		}
		if seq != acked {
			continue
		}
		if batch := r.takeBatch(); len(batch) > 0 {
			seq++
			if err := stream.Send(&pluginpb.WatchResponse{Message: &pluginpb.WatchResponse_Batch_{
				Batch: &pluginpb.WatchResponse_Batch{Seq: seq, Changes: changesToProto(batch)},
			}}); err != nil {
				return err
			}
		}
	}
}

func unwatchedToProto(u *unwatched) *pluginpb.WatchResponse {
	paths := make([][]byte, len(u.paths))
	for i, p := range u.paths {
		paths[i] = []byte(p)
	}
	return &pluginpb.WatchResponse{Message: &pluginpb.WatchResponse_Unwatched_{
		Unwatched: &pluginpb.WatchResponse_Unwatched{Paths: paths, Reason: text(u.reason)},
	}}
}
