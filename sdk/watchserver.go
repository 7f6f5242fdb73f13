package sdk

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/filewatch/filewatch/sdk/wire/pluginpb"
)

// maxBarriers bounds the barriers that a watcher has not asked for yet.
const maxBarriers = 1024

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
	barriers := make(chan Barrier)
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		defer func() { ended <- err }()
		defer s.recovered(&err)
		err = s.plugin.Watcher.Watch(ctx, WatchRequest{
			Sync:     open.GetSync(),
			Root:     string(open.GetRoot()),
			Exclude:  open.GetExclude(),
			Only:     pathsFromProto(open.GetOnly()),
			Config:   config,
			Barriers: barriers,
		}, r)
	})
	acks := make(chan uint64)
	// These two end with the stream, which outlives this call by a moment.
	asked := make(chan uint64, maxBarriers)
	go func() {
		for id := range asked {
			select {
			case barriers <- NewBarrier(func() { r.reach(id) }):
			case <-ctx.Done():
			}
		}
	}()
	go func() {
		defer close(asked)
		for {
			req, err := stream.Recv()
			if err != nil {
				return // the stream has ended, and its context with it
			}
			if b := req.GetBarrier(); b != nil {
				select {
				case asked <- b.GetId():
				default: // a watcher that does not ask for its barriers never reaches them
				}
				continue
			}
			a := req.GetAck()
			if a == nil {
				continue // of a later version of the protocol
			}
			select {
			case acks <- a.GetSeq():
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
		case acked = <-acks:
		case err := <-ended:
			return toStatus(ctx, err)
		}
		if !readySent && r.isReady() {
			readySent = true
			if err := stream.Send(&pluginpb.WatchResponse{Message: &pluginpb.WatchResponse_Ready_{Ready: &pluginpb.WatchResponse_Ready{}}}); err != nil {
				return err
			}
		}
		if !readySent {
			continue // all else is about what is seen from then on
		}
		if u := r.takeUnwatched(); u != nil {
			if err := stream.Send(unwatchedToProto(u)); err != nil {
				return err
			}
		}
		if seq == acked {
			if err := s.sendBatch(stream, r, &seq); err != nil {
				return err
			}
		}
		for _, id := range r.takeReached() {
			if err := stream.Send(&pluginpb.WatchResponse{Message: &pluginpb.WatchResponse_Reached_{
				Reached: &pluginpb.WatchResponse_Reached{Id: id},
			}}); err != nil {
				return err
			}
		}
	}
}

// sendBatch sends the oldest changes, if there are any, and counts seq up.
func (s *server) sendBatch(stream grpc.BidiStreamingServer[pluginpb.WatchRequest, pluginpb.WatchResponse], r *reports, seq *uint64) error {
	batch := r.takeBatch()
	if len(batch) == 0 {
		return nil
	}
	*seq++
	return stream.Send(&pluginpb.WatchResponse{Message: &pluginpb.WatchResponse_Batch_{
		Batch: &pluginpb.WatchResponse_Batch{Seq: *seq, Changes: changesToProto(batch)},
	}})
}

func unwatchedToProto(u *unwatched) *pluginpb.WatchResponse {
	return &pluginpb.WatchResponse{Message: &pluginpb.WatchResponse_Unwatched_{
		Unwatched: &pluginpb.WatchResponse_Unwatched{Paths: pathsToProto(u.paths), Reason: text(u.reason)},
	}}
}
