package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/run"
	"github.com/filewatch/filewatch/sdk/wire"
)

// TestMain makes the test binary the plugins and the daemon of its own tests.
func TestMain(m *testing.M) {
	proc.EndAtOnce()
	switch {
	case len(os.Args) == 3 && os.Args[1] == "plugin":
		pluginMain(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "daemon":
		daemonMain(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "own-executable":
		for {
			if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
				return
			}
			path, err := ownExecutable()
			if err != nil {
				panic(err)
			}
			fmt.Print(path)
		}
	case len(os.Args) == 1 && os.Getenv(wire.Handshake.MagicCookieKey) != "":
		pluginMain("external")
	default:
		os.Exit(m.Run())
	}
}

// builtins are the plugins that pluginMain can be.
var builtins = []string{"steady", "other", "noisy", "clinging", "broken", "dying", "impostor", "silent", "tcp", "parent", "stumbling"}

func pluginMain(name string) {
	switch name {
	case "noisy":
		// All before it is served: on the pipes themselves.
		fmt.Println("before the handshake")
		fmt.Println(strings.Repeat("o", 1<<20))
		fmt.Fprintln(os.Stderr, `{"@level":null}`)
		fmt.Fprintln(os.Stderr, `{"@message":1}`)
		fmt.Fprintln(os.Stderr, `{"@timestamp":5}`)
		fmt.Fprintln(os.Stderr, strings.Repeat("e", 1<<20))
		go func() {
			// And later ones, past the redirection of os.Stdout.
			raw := os.NewFile(1, "stdout")
			time.Sleep(50 * time.Millisecond)
			for range 100 {
				fmt.Fprintln(raw, "1|1|unix|/nowhere|grpc")
				fmt.Fprintln(raw, strings.Repeat("r", 100<<10))
			}
		}()
	case "clinging":
		// They keep the pipes of the plugin open when it dies; one is outside its process group.
		for _, setsid := range []bool{false, true} {
			cmd := exec.Command("sleep", "300")
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: setsid}
			if err := cmd.Start(); err != nil {
				panic(err)
			}
		}
	case "broken":
		fmt.Fprintln(os.Stderr, "cannot go on")
		os.Exit(3)
	case "dying":
		go func() {
			time.Sleep(100 * time.Millisecond)
			panic("boom")
		}()
	case "impostor":
		name = "steady"
	case "silent":
		fmt.Fprintln(os.Stderr, "thinking")
		time.Sleep(time.Hour)
	case "tcp":
		fmt.Println("1|1|tcp|127.0.0.1:1|grpc")
		time.Sleep(time.Hour)
	case "stumbling":
		if first(os.Getenv("STUMBLE")) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	case "parent":
		if _, err := run.Start(context.Background(), run.Command{Path: "sleep", Args: []string{"300"}}); err != nil {
			panic(err)
		}
	}
	sdk.Serve(sdk.Plugin{Name: name, Version: "1.2.3", Transport: transport{}})
}

type transport struct{}

type transportConfig struct {
	Greeting string `hcl:"greeting,optional"`
}

func (transport) Config() any { return &transportConfig{Greeting: "hello"} }

func (transport) Validate(_ context.Context, req sdk.ValidateRequest) sdk.Diagnostics {
	var diags sdk.Diagnostics
	switch greeting := req.Config.(*transportConfig).Greeting; greeting {
	case "hello":
	case "er":
		time.Sleep(time.Hour)
	case "killed":
		if first(os.Getenv("STUMBLE")) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	case "die":
		fmt.Fprintln(os.Stderr, "cannot take it")
		os.Exit(4)
	default:
		diags.AddAttributeError([]any{"greeting"}, "Rude", greeting)
	}
	return diags
}

// Sync does what the path of the first change says.
func (transport) Sync(ctx context.Context, req sdk.SyncRequest, progress func(sdk.Progress)) (sdk.Result, error) {
	var result sdk.Result
	switch req.Changes[0].Path {
	case "environ":
		for _, kv := range os.Environ() {
			result.Failed = append(result.Failed, sdk.PathError{Path: kv})
		}
	case "hang":
		progress(sdk.Progress{Files: 1})
		<-ctx.Done()
		return sdk.Result{}, ctx.Err()
	case "slow":
		progress(sdk.Progress{Files: 1})
		select {
		case <-time.After(300 * time.Millisecond):
			result.Files = 7
		case <-ctx.Done():
			return sdk.Result{}, ctx.Err()
		}
	case "unavailable":
		return sdk.Result{}, sdk.Unavailable(errors.New("no route"))
	case "print":
		sdk.Logger(ctx).Warn("hello from the plugin", "n", 1)
		sdk.Logger(ctx).Debug("not wanted")
		fmt.Println("on stdout")
		fmt.Fprintln(os.Stderr, "on stderr")
	case "pid":
		result.Files = uint64(os.Getpid())
	}
	return result, nil
}

// daemonMain is a daemon that uses a few plugins until it is killed.
func daemonMain(base string) {
	h, err := newHost(Config{Builtins: builtins}, defaultTiming, []string{base})
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"steady", "parent"} {
		p, err := h.Plugin(Program{Name: name})
		if err != nil {
			panic(err)
		}
		lease, err := p.Client(context.Background())
		if err != nil {
			panic(err)
		}
		fmt.Println(lease.PID())
	}
	fmt.Println("ready")
	select {}
}

// first reports whether nobody has asked for this file before.
func first(file string) bool { return os.Mkdir(file, 0o700) == nil }
