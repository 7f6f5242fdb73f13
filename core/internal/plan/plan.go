// Package plan turns a configuration into what the engine carries out: paths resolved, plugin bodies
// decoded with the schemas of their plugins and judged by them, syncs checked against each other.
//
// A Plan is plain data that nobody changes; two syncs with reflect.DeepEqual values do the same.
package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/filewatch/filewatch/core/internal/answer"
	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/sdk"
)

// Catalog answers for plugins. The plugin host implements it.
type Catalog interface {
	// Describe returns what the plugin of that name is. The error says what to do when there is none,
	// with the nearest name, or when it does not start.
	Describe(ctx context.Context, name string) (sdk.Description, error)
	// Validate asks the plugin to judge a configuration; req.Config is a json.RawMessage.
	Validate(ctx context.Context, name string, kind sdk.Kind, req sdk.ValidateRequest) (sdk.Diagnostics, error)
}

// Plan is a configuration that can be carried out.
type Plan struct {
	LogLevel  string
	LogFormat string
	StateDir  string // absolute and clean
	// MaxTransfers is how many transfers are under way at a time; 0 = any number.
	MaxTransfers int
	Plugins      []PluginFile
	Syncs        []Sync // in the order of the configuration
}

// PluginFile is where a plugin that is not built in is found.
type PluginFile struct {
	Name   string
	Path   string // absolute
	SHA256 string // 64 lower-case hex digits, or "" when not pinned
}

// Sync is one sync block.
type Sync struct {
	Name         string
	Source       string         // absolute path of the root, in the bytes it has on disk
	Destinations []sdk.Endpoint // where the contents of the root go
	Exclude      []string       // rsync patterns
	Delete       bool
	MaxDelete    config.MaxDelete
	Settle       time.Duration
	MaxDelay     time.Duration // not below Settle
	Rescan       time.Duration // 0 = never
	LargeFile    uint64        // size in bytes above which a file does not hold up others; 0 = off
	Watcher      Component
	Transport    Component
}

// Component is a watcher or transport with its configuration.
type Component struct {
	Plugin string
	Config json.RawMessage // a JSON object; null = the plugin's default
}

// Plugins returns the names of the plugins that carry out a sync: its transport, its watcher or those of which
// one is chosen, and the one that polls what the watcher does not see.
func (s Sync) Plugins() []string {
	names := []string{s.Transport.Plugin, "poll"}
	if s.Watcher.Plugin == config.AutoWatcher {
		return append(names, "inotify", "fanotify")
	}
	return append(names, s.Watcher.Plugin)
}

// Files returns where the plugins of a sync are found, those that are built in left out.
func (p *Plan) Files(s Sync) (files []PluginFile) {
	for _, file := range p.Plugins {
		if slices.Contains(s.Plugins(), file.Name) {
			files = append(files, file)
		}
	}
	return files
}

// Routes returns one line for each destination: where the contents of the source really go.
func (s Sync) Routes() []string {
	what := "contents, delete"
	if !s.Delete {
		what = "contents, keep what is gone"
	}
	routes := make([]string, len(s.Destinations))
	for i, d := range s.Destinations {
		routes[i] = fmt.Sprintf("%s: %s → %s (%s)", s.Name, printable(s.Source), printable(d.String()), what)
	}
	return routes
}

// printable quotes what would confuse a reader or a terminal.
func printable(s string) string {
	if quoted := strconv.Quote(s); quoted[1:len(quoted)-1] != s || strings.TrimSpace(s) != s {
		return quoted
	}
	return s
}

// New makes a plan of cfg. It reports every problem of every block; with an error here or in cfg
// there is no plan. It asks cat for the plugins that cfg uses, and looks at local paths.
func New(ctx context.Context, cfg *config.Config, cat Catalog) (*Plan, hcl.Diagnostics) {
	p := &planner{ctx: ctx, cat: cat, described: map[string]described{}, decoded: map[hcl.Body]decoded{}}
	for _, c := range cfg.Defaults {
		p.check(c)
	}
	plan := &Plan{LogLevel: cfg.LogLevel, LogFormat: cfg.LogFormat, StateDir: cfg.StateDir, MaxTransfers: cfg.MaxTransfers}
	for _, file := range cfg.Plugins {
		plan.Plugins = append(plan.Plugins, PluginFile{file.Name, file.Path, file.SHA256})
	}
	var drafts []*draft
	for i := range cfg.Syncs {
		d := p.sync(&cfg.Syncs[i])
		p.apart(cfg, d)
		drafts = append(drafts, d)
		plan.Syncs = append(plan.Syncs, d.plan())
	}
	p.overlaps(drafts)
	diags := config.Tidy(p.diags)
	if !cfg.Complete || diags.HasErrors() {
		return nil, diags
	}
	return plan, diags
}

// planner collects what is wrong while a plan is made.
type planner struct {
	ctx       context.Context
	cat       Catalog
	described map[string]described // by plugin
	decoded   map[hcl.Body]decoded
	diags     hcl.Diagnostics
	paths     answer.Paths // that do not answer
}

func (p *planner) errorf(at hcl.Range, summary, format string, args ...any) {
	p.add(hcl.DiagError, at, summary, fmt.Sprintf(format, args...))
}

func (p *planner) warnf(at hcl.Range, summary, format string, args ...any) {
	p.add(hcl.DiagWarning, at, summary, fmt.Sprintf(format, args...))
}

func (p *planner) add(severity hcl.DiagnosticSeverity, at hcl.Range, summary, detail string) {
	p.diags = append(p.diags, &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: &at})
}
