package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core"
	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/core/internal/control"
	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/plan"
	"github.com/filewatch/filewatch/core/internal/pluginhost"
	"github.com/filewatch/filewatch/core/internal/state"
)

// shutdownTimeout is how long transfers that are under way may take to end after SIGTERM, and what
// plugins may take after them. systemd waits for 90 s before it kills.
const shutdownTimeout = 10 * time.Second

// runDaemon keeps everything in step until SIGINT or SIGTERM; with -once it does one full sync. A second
// signal ends it at once.
func runDaemon(env *environment, args []string) int {
	flags := flag.NewFlagSet("filewatch", flag.ContinueOnError)
	var s settings
	s.add(flags)
	once := flags.Bool("once", false, "one full sync of every block, then exit: 0 all done, 1 something failed")
	if status, ok := s.parse(env, flags, args); !ok {
		return status
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// From the first signal on they have their usual effect again: a second one kills, and what is
	// left ends with its lifeline.
	context.AfterFunc(ctx, stop)

	status := exitOK
	if !s.withPlan(ctx, env, func(p *plan.Plan, plugins core.Plugins, logger hclog.Logger) {
		store, err := s.openState(p.StateDir, logger)
		if err != nil {
			fmt.Fprintf(env.stderr, "filewatch: %v\n", err)
			status = exitFailed
			return
		}
		defer func() {
			if err := store.Close(); err != nil {
				logger.Warn("close the state directory", "err", err)
			}
		}()
		engine := core.New(core.Config{
			Plan: p, Plugins: plugins, State: store, Logger: logger,
			Version: version, ShutdownTimeout: shutdownTimeout,
		})
		if !*once {
			server, err := control.Start(control.Config{StateDir: p.StateDir, Daemon: engine, Logger: logger})
			if err != nil {
				logger.Error("runs without status and the other commands", "err", err)
			} else {
				defer server.Close()
			}
			engine.Run(ctx)
			logger.Info("ended")
			return
		}
		for _, err := range engine.Once(ctx) {
			status = exitFailed
			if !errors.Is(err, context.Canceled) {
				fmt.Fprintf(env.stderr, "filewatch: %v\n", err)
			}
		}
		if ctx.Err() != nil {
			fmt.Fprintln(env.stderr, "filewatch: interrupted before everything was compared")
		}
	}) {
		return exitUsage
	}
	return status
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
	if !s.withPlan(context.Background(), env, func(p *plan.Plan, _ core.Plugins, _ hclog.Logger) {
		for _, sync := range p.Syncs {
			for _, route := range sync.Routes() {
				fmt.Fprintln(env.stdout, route)
			}
		}
	}) {
		return exitUsage
	}
	return exitOK
}

// withPlan makes the plan of the configuration, calls use with it and its plugins, and ends the
// plugins. It returns false, having said why, when there is no plan.
func (s *settings) withPlan(ctx context.Context, env *environment, use func(*plan.Plan, core.Plugins, hclog.Logger)) bool {
	cfg, diags := config.Load(s.configs, s.variables())
	logger := s.logger(env.stderr, cfg.LogLevel, cfg.LogFormat)
	host, err := pluginhost.New(pluginhost.Config{
		Builtins: builtinNames(),
		Logger:   logger,
	})
	if err != nil {
		writeDiagnostics(env.stderr, cfg.Files, diags)
		fmt.Fprintf(env.stderr, "filewatch: %v\n", err)
		return false
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if err := host.Close(ctx); err != nil {
			logger.Warn("end plugins", "err", err)
		}
	}()
	catalog := host.Catalog(programs(cfg.Plugins))
	p, more := plan.New(ctx, cfg, catalog)
	diags = config.Tidy(append(diags, more...))
	writeDiagnostics(env.stderr, cfg.Files, diags)
	if diags.HasErrors() {
		return false
	}
	use(p, catalog, logger)
	return true
}

// programs are the plugins that the configuration names.
func programs(plugins []config.Plugin) []pluginhost.Program {
	var all []pluginhost.Program
	for _, p := range plugins {
		all = append(all, pluginhost.Program{Name: p.Name, Path: p.Path, SHA256: p.SHA256})
	}
	return all
}
