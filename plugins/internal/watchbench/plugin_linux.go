package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/run"
	"github.com/filewatch/filewatch/sdk/wire"
)

// plugin is a plugin of filewatch that watches a tree.
type plugin struct {
	*run.Process
	name     string
	cancel   context.CancelFunc
	dir      string // for its socket
	lifeline io.Closer
	record   *record
	barriers chan sdk.Barrier
	conn     *grpc.ClientConn
	started  time.Duration
	ready    time.Duration
	done     chan struct{} // closed when it watches no more; err is set then
	err      error
}

// builtin returns the watcher of that name, with its configuration as JSON.
func (o options) builtin(name, config string) watcher {
	return func(ctx context.Context, root string, r *record) (watching, error) {
		p := &plugin{name: name, record: r, barriers: make(chan sdk.Barrier), done: make(chan struct{})}
		ctx, p.cancel = context.WithCancel(ctx)
		began := time.Now()
		err := p.start(ctx, o.filewatch)
		p.started = time.Since(began)
		if err != nil {
			close(p.done)
		} else {
			req := sdk.WatchRequest{Sync: "bench", Root: root, Barriers: p.barriers, Config: json.RawMessage(config)}
			go func() {
				defer close(p.done)
				p.err = sdk.NewClient(p.conn).Watch(ctx, req, r)
			}()
			err = p.wait(r.ready)
			p.ready = time.Since(began) - p.started
		}
		if err != nil {
			p.stop()
			return nil, fmt.Errorf("plugin %s: %w", name, err)
		}
		return p, nil
	}
}

// start starts the process and waits for its answer.
func (p *plugin) start(ctx context.Context, filewatch string) (err error) {
	if p.dir, err = os.MkdirTemp("", "filewatch-"); err != nil {
		return err
	}
	// Its first line tells: core protocol, version, network, address, and more.
	address := make(chan string, 1)
	handshake := lines(func(line string) {
		if fields := strings.Split(line, "|"); len(fields) >= 5 && fields[2] == "unix" {
			address <- fields[3]
		}
	})
	stdin, lifeline := io.Pipe()
	p.lifeline = lifeline
	p.Process, err = run.Start(ctx, run.Command{
		Path: filewatch, Args: []string{"plugin", p.name},
		Env: []string{
			wire.Handshake.MagicCookieKey + "=" + wire.Handshake.MagicCookieValue,
			wire.EnvLifeline + "=stdin", wire.EnvRunDir + "=" + p.dir, wire.EnvLogLevel + "=warn",
			"PLUGIN_UNIX_SOCKET_DIR=" + p.dir,
		},
		Stdin: stdin, Stdout: handshake.split(),
	})
	if err != nil {
		return err
	}
	var socket string
	select {
	case socket = <-address:
	case <-p.Done():
		exit := p.Wait()
		return fmt.Errorf("%v: %s", exit, exit.Stderr)
	}
	p.conn, err = grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	_, err = sdk.NewClient(p.conn).Describe(ctx)
	return err
}

// wait waits for c as long as the plugin watches.
func (p *plugin) wait(c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-p.done:
		if p.err == nil {
			return context.Canceled
		}
		return p.err
	}
}

func (p *plugin) times() (started, ready time.Duration) { return p.started, p.ready }

func (p *plugin) settle() error {
	reached := make(chan struct{})
	select {
	case p.barriers <- sdk.NewBarrier(func() { close(reached) }):
	case <-p.done:
	}
	if err := p.wait(reached); err != nil {
		return fmt.Errorf("plugin %s: %w", p.name, err)
	}
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	if p.record.blind != "" {
		return errors.New(p.record.blind)
	}
	return nil
}

func (p *plugin) stop() {
	p.cancel()
	<-p.done
	if p.conn != nil {
		_ = p.conn.Close()
	}
	if p.Process != nil {
		p.Wait()
		_ = p.lifeline.Close()
	}
	_ = os.RemoveAll(p.dir)
}
