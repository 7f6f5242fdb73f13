package sdk

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/grpc"

	"github.com/filewatch/filewatch/sdk/wire/pluginpb"
)

// watchStream is the host's end of one Watch stream.
type watchStream struct {
	stream grpc.BidiStreamingClient[pluginpb.WatchRequest, pluginpb.WatchResponse]

	mu       sync.Mutex // guards all below, and sending
	asked    uint64     // id of the last barrier
	barriers map[uint64]Barrier
}

// send sends a request. That it fails only says that the stream is over; receiving tells why.
func (w *watchStream) send(req *pluginpb.WatchRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.stream.Send(req)
}

// ask passes the host's barriers on until ctx ends.
func (w *watchStream) ask(ctx context.Context, barriers <-chan Barrier) {
	for {
		select {
		case b := <-barriers:
			w.mu.Lock()
			w.asked++
			id := w.asked
			w.barriers[id] = b
			delete(w.barriers, id-maxBarriers) // never answered
			w.mu.Unlock()
			w.send(&pluginpb.WatchRequest{Message: &pluginpb.WatchRequest_Barrier_{
				Barrier: &pluginpb.WatchRequest_Barrier{Id: id},
			}})
		case <-ctx.Done():
			return
		}
	}
}

// received acts on what the plugin sent. A batch is acknowledged when r has taken all of it.
func (w *watchStream) received(resp *pluginpb.WatchResponse, r Reporter) {
	switch m := resp.GetMessage().(type) {
	case *pluginpb.WatchResponse_Ready_:
		r.Ready()
	case *pluginpb.WatchResponse_Unwatched_:
		paths := pathsFromProto(m.Unwatched.GetPaths())
		if slices.ContainsFunc(paths, invalidPath) {
			paths = []string{""}
		}
		r.Unwatched(paths, m.Unwatched.GetReason())
	case *pluginpb.WatchResponse_Batch_:
		for _, change := range changesFromProto(m.Batch.GetChanges()) {
			if !validPath(change.Path) {
				change = Change{Scope: ScopeSubtree} // it means something, who knows what
			}
			r.Change(change)
		}
		w.send(&pluginpb.WatchRequest{Message: &pluginpb.WatchRequest_Ack_{
			Ack: &pluginpb.WatchRequest_Ack{Seq: m.Batch.GetSeq()},
		}})
	case *pluginpb.WatchResponse_Reached_:
		w.mu.Lock()
		b, ok := w.barriers[m.Reached.GetId()]
		delete(w.barriers, m.Reached.GetId())
		w.mu.Unlock()
		if ok {
			b.Reached()
		}
	}
}
