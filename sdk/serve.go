package sdk

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/filewatch/filewatch/sdk/wire"
)

// exitGrace is how long a plugin that has lost its host may take to end its child processes. The
// promise is that nothing is left after two seconds.
const exitGrace = time.Second

// Serve serves p until filewatch ends it, then closes its Watcher and Transport if they are io.Closers.
// It does not return when the program was not started by filewatch, or when filewatch is gone. It must
// be called once, from main, before anything is written to standard output.
//
// Serve panics on a mistake of the author: no name, neither a Watcher nor a Transport, or a bad tag in
// a configuration struct.
func Serve(p Plugin) {
	if p.MaxProcs > 0 {
		runtime.GOMAXPROCS(p.MaxProcs)
	}
	logger := newLogger()
	s := newServer(p, logger)
	s.exitWithHost()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  wire.Handshake,
		VersionedPlugins: wire.Plugins(s.register),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts,
				// A host of another version may send more than we would.
				grpc.MaxRecvMsgSize(16*wire.MaxRequest),
				grpc.InitialWindowSize(wire.Window),
				grpc.InitialConnWindowSize(wire.Window),
				grpc.UnaryInterceptor(s.recoverUnary),
				grpc.StreamInterceptor(s.recoverStream),
			)...)
		},
		Logger: logger,
	})
	s.close()
}

// exitWithHost ends the process, children first, when standard input ends (the host is gone, however it
// ended) or on SIGTERM.
func (s *server) exitWithHost() {
	exit := make(chan struct{}, 2)
	if os.Getenv(wire.EnvLifeline) == "stdin" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			exit <- struct{}{}
		}()
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		select {
		case <-exit:
		case <-term:
		}
		ctx, cancel := context.WithTimeout(context.Background(), exitGrace)
		defer cancel()
		go func() {
			<-ctx.Done()
			os.Exit(1)
		}()
		s.work.drain(0)
		s.close()
		os.Exit(0)
	}()
}

// close closes what the plugin holds open, once.
func (s *server) close() { s.closed.Do(s.closeComponents) }

func (s *server) closeComponents() {
	for _, component := range s.components() {
		closer, ok := component.(io.Closer)
		if !ok {
			continue
		}
		if err := closer.Close(); err != nil {
			s.logger.Warn("close", "err", err)
		}
	}
}

// components returns the Watcher and the Transport, those that there are.
func (s *server) components() []any {
	var all []any
	if s.plugin.Watcher != nil {
		all = append(all, s.plugin.Watcher)
	}
	if s.plugin.Transport != nil {
		all = append(all, s.plugin.Transport)
	}
	return all
}

func mustBeValid(p Plugin) {
	if p.Name == "" || p.Watcher == nil && p.Transport == nil {
		panic(fmt.Sprintf("sdk: plugin %q needs a name and a Watcher or a Transport", p.Name))
	}
}
