package main

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/filewatch/filewatch/core"
	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/core/internal/plan"
)

// follow reloads the configuration whenever it is asked to, until ctx ends.
func (r *running) follow(ctx context.Context, engine *core.Engine, hangups <-chan os.Signal, edited <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			r.logger.Info("reading the configuration again", "because", "SIGHUP")
		case <-edited:
			r.logger.Info("reading the configuration again", "because", "it was edited")
		}
		r.reload(ctx, engine)
	}
}

// reload reads the configuration again and carries out what has changed. With anything wrong in it the running
// one goes on as it is.
func (r *running) reload(ctx context.Context, engine *core.Engine) {
	// Also those that were only asked what they think of a configuration that is refused.
	defer func() { r.catalog.Retain(ctx, plugins(r.plan)) }()
	cfg, diags := config.Load(r.settings.configs, r.settings.variables())
	catalog := r.host.Catalog(programs(cfg.Plugins))
	p, more := plan.New(ctx, cfg, catalog)
	if ctx.Err() != nil {
		return // what has not been finished says nothing about the configuration
	}
	diags = append(diags, more...)
	if p != nil {
		diags = append(diags, r.fixed(p, cfg.Files)...)
	}
	diags = config.Tidy(diags)
	writeDiagnostics(r.env.stderr, cfg.Files, diags)
	if diags.HasErrors() {
		r.logger.Error("the configuration is refused, the running one goes on", "errors", len(diags.Errs()))
		return
	}
	level := hclog.LevelFromString(cmp.Or(r.settings.logLevel, p.LogLevel))
	if level != r.logger.GetLevel() {
		r.logger.SetLevel(level)
		r.logger.Info("the log level has changed; plugins that run keep theirs", "level", level.String())
	}
	engine.Reload(p, catalog)
	r.plan, r.catalog = p, catalog
}

// fixed reports what is not as it was and cannot change while filewatch runs.
func (r *running) fixed(p *plan.Plan, files map[string]*hcl.File) (diags hcl.Diagnostics) {
	refuse := func(name, before, now string) {
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError,
			Summary:  "Restart needed",
			Detail:   fmt.Sprintf("%s cannot change while filewatch runs: it is %q, and would be %q. Restart filewatch, or change it back.", name, before, now),
			Subject:  written(files, name),
		})
	}
	if p.StateDir != r.plan.StateDir {
		refuse("state_dir", r.plan.StateDir, p.StateDir)
	}
	if p.LogFormat != r.plan.LogFormat && r.settings.logFormat == "" {
		refuse("log_format", r.plan.LogFormat, p.LogFormat)
	}
	return diags
}

// written returns where the value of an attribute of the file is, nil when it is left out.
func written(files map[string]*hcl.File, name string) *hcl.Range {
	for _, file := range files {
		if attr, ok := file.Body.(*hclsyntax.Body).Attributes[name]; ok {
			at := attr.Expr.Range()
			return &at
		}
	}
	return nil
}

// plugins are the names of those that a plan needs.
func plugins(p *plan.Plan) (names []string) {
	for _, s := range p.Syncs {
		names = append(names, s.Plugins()...)
	}
	return names
}
