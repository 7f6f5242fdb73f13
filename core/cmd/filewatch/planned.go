package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/core/internal/plan"
	"github.com/filewatch/filewatch/core/internal/pluginhost"
)

// running is a configuration that is carried out, and what that takes.
type running struct {
	settings *settings
	env      *environment
	logger   hclog.Logger
	host     *pluginhost.Host

	plan    *plan.Plan
	catalog *pluginhost.Catalog // of the plugins that the plan names
}

// withPlan makes the plan of the configuration, calls use with it and its plugins, ends the plugins, and
// returns the exit status: that of use, or of what has kept it from being called, having said what that is.
func (s *settings) withPlan(ctx context.Context, env *environment, use func(*running) int) int {
	cfg, diags := config.Load(s.configs, s.variables())
	r := &running{settings: s, env: env, logger: s.logger(env.stderr, cfg.LogLevel, cfg.LogFormat)}
	var err error
	r.host, err = pluginhost.New(pluginhost.Config{
		Builtins: builtinNames(),
		Logger:   r.logger,
	})
	if err != nil {
		writeDiagnostics(env.stderr, cfg.Files, diags)
		fmt.Fprintf(env.stderr, "filewatch: %v\n", err)
		if diags.HasErrors() {
			return exitUsage
		}
		return exitFailed
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if err := r.host.Close(ctx); err != nil {
			r.logger.Warn("end plugins", "err", err)
		}
	}()
	r.catalog = r.host.Catalog(programs(cfg.Plugins))
	p, more := plan.New(ctx, cfg, r.catalog)
	diags = config.Tidy(append(diags, more...))
	writeDiagnostics(env.stderr, cfg.Files, diags)
	if diags.HasErrors() {
		return exitUsage
	}
	r.plan = p
	return use(r)
}

// programs are the plugins that the configuration names.
func programs(plugins []config.Plugin) []pluginhost.Program {
	var all []pluginhost.Program
	for _, p := range plugins {
		all = append(all, pluginhost.Program{Name: p.Name, Path: p.Path, SHA256: p.SHA256})
	}
	return all
}
