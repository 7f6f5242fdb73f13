package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core"
	"github.com/filewatch/filewatch/core/internal/answer"
	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/core/internal/control"
	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/state"
	"github.com/filewatch/filewatch/core/internal/status"
)

// shutdownTimeout is how long transfers that are under way may take to end after SIGTERM, and what
// plugins may take after them. systemd waits for 90 s before it kills.
const shutdownTimeout = 10 * time.Second

// runDaemon keeps everything in step until SIGINT or SIGTERM; with -once it does one full sync. A second
// signal ends it at once. SIGHUP has it read the configuration anew.
func runDaemon(env *environment, args []string) int {
	flags := flag.NewFlagSet("filewatch", flag.ContinueOnError)
	var s settings
	s.add(flags)
	once := flags.Bool("once", false, "one full sync of every block, then exit: 0 all done, 1 something failed")
	var approve list
	flags.Var(&approve, "approve", "with -once: let through what the run before has held of the sync `NAME`; may be repeated")
	if status, ok := s.parse(env, flags, args); !ok {
		return status
	}
	if len(approve) > 0 && !*once {
		fmt.Fprintln(env.stderr, "filewatch: -approve goes with -once; filewatch approve NAME asks a daemon that runs.")
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// From the first signal on they have their usual effect again: a second one kills, and what is
	// left ends with its lifeline.
	context.AfterFunc(ctx, stop)

	if _, _, ok := terminalSize(env.stderr); ok {
		env = &environment{stdin: env.stdin, stdout: env.stdout, stderr: &progressLines{to: env.stderr}}
	}
	if *once {
		return s.withPlan(ctx, env, func(r *running) int { return r.once(ctx, approve) })
	}
	// From here on, so that it never means what it means to those who do not take it: the end.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	seen := config.Sum(s.configs)
	return s.withPlan(ctx, env, func(r *running) int { return r.daemon(ctx, hangups, seen) })
}

// daemon keeps everything in step until ctx ends. Seen is what the configuration was before it was loaded.
func (r *running) daemon(ctx context.Context, hangups <-chan os.Signal, seen config.Checksum) int {
	engine, done, status := r.start()
	if engine == nil {
		return status
	}
	defer done()
	server, err := control.Start(control.Config{StateDir: r.plan.StateDir, Daemon: engine, Logger: r.logger})
	if err != nil {
		r.logger.Error("runs without status and the other commands", "err", err)
	} else {
		defer server.Close()
	}
	edited := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() { watchEdits(ctx, r.settings.configs, seen, edited, r.logger) })
	wg.Go(func() { r.follow(ctx, engine, hangups, edited) })
	wg.Go(func() { engine.Run(ctx) })
	if !endsInTime(ctx, &wg) {
		r.logger.Warn("ends although something is still waiting for a file system that does not answer")
	}
	r.logger.Info("ended")
	return exitOK
}

// endsInTime waits for wg, but not for good once ctx has ended: nothing ends a system call that waits for a server
// that is gone. It reports whether all has ended.
func endsInTime(ctx context.Context, wg *sync.WaitGroup) bool {
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	overdue := make(chan struct{})
	context.AfterFunc(ctx, func() {
		time.AfterFunc(shutdownTimeout+answer.Time, func() { close(overdue) })
	})
	select {
	case <-ended:
		return true
	case <-overdue:
		return false
	}
}

// once does one full sync of every block. What the run before has held of those named is let through.
func (r *running) once(ctx context.Context, approve []string) int {
	engine, done, exit := r.start()
	if engine == nil {
		return exit
	}
	defer done()
	failed, held := false, false
	for _, name := range approve {
		words, err := engine.ApproveTold(name)
		if err != nil {
			failed = true
			fmt.Fprintf(r.env.stderr, "filewatch: -approve: %v\n", err)
		}
		for _, line := range approvedWords(name, words) {
			fmt.Fprintln(r.env.stdout, status.Escape(line))
		}
	}
	for _, err := range engine.Once(ctx) {
		failed = true
		held = held || errors.As(err, new(*guard.Hold))
		if !errors.Is(err, context.Canceled) {
			fmt.Fprintf(r.env.stderr, "filewatch: %v\n", err)
		}
	}
	if held {
		fmt.Fprintln(r.env.stderr, "filewatch: without a daemon, the same command with -approve NAME lets through what was held here.")
	}
	if ctx.Err() != nil {
		fmt.Fprintln(r.env.stderr, "filewatch: interrupted before everything was compared")
	}
	if failed {
		return exitFailed
	}
	return exitOK
}

// start returns the engine of the plan and what is to be called when it has ended. There is none, and
// the exit status is not 0, when another daemon uses the state directory.
func (r *running) start() (_ *core.Engine, done func(), status int) {
	store, err := r.settings.openState(r.plan.StateDir, r.logger)
	if err != nil {
		fmt.Fprintf(r.env.stderr, "filewatch: %v\n", err)
		return nil, nil, exitFailed
	}
	engine := core.New(core.Config{
		Plan: r.plan, Plugins: r.catalog, State: store, Logger: r.logger,
		Version: version, ShutdownTimeout: shutdownTimeout,
	})
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	if lines, ok := r.env.stderr.(*progressLines); ok {
		wg.Go(func() { lines.follow(ctx, engine.UnderWay) })
	}
	return engine, func() {
		stop()
		wg.Wait()
		if err := store.Close(); err != nil {
			r.logger.Warn("close the state directory", "err", err)
		}
	}, exitOK
}

// openState opens the directory of what must survive. Only another daemon in it is an error: all else is
// logged, and nothing is remembered until it works.
func (s *settings) openState(dir string, logger hclog.Logger) (*state.Dir, error) {
	owner := state.Owner{PID: os.Getpid(), Started: time.Now()}
	for _, c := range s.configs {
		owner.Configs = append(owner.Configs, guard.Path(c))
	}
	store, err := state.Open(dir, owner)
	if store == nil {
		return nil, err
	}
	if err != nil {
		logger.Error("the state directory cannot be used: what a source was is forgotten when filewatch ends; set state_dir, or mend it", "err", err)
	}
	return store, nil
}

// runValidate checks a configuration and prints where each source really goes.
func runValidate(env *environment, args []string) int {
	flags := flag.NewFlagSet("filewatch validate", flag.ContinueOnError)
	s := settings{logLevel: "warn"}
	s.add(flags)
	if status, ok := s.parse(env, flags, args); !ok {
		return status
	}
	return s.withPlan(context.Background(), env, func(r *running) int {
		for _, sync := range r.plan.Syncs {
			for _, route := range sync.Routes() {
				fmt.Fprintln(env.stdout, route)
			}
		}
		return exitOK
	})
}
