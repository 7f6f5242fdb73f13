package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/schema"
)

// catalog is a Catalog with one watcher, two transports, and plugins that are broken.
type catalog struct{}

type rsyncConfig struct {
	Compress bool         `hcl:"compress,optional"`
	Timeout  string       `hcl:"timeout,optional"`
	Args     []string     `hcl:"args,optional"`
	SSH      *sshConfig   `hcl:"ssh,block"`
	Rule     []ruleConfig `hcl:"rule,block"`
}

type sshConfig struct {
	Port         int               `hcl:"port,optional"`
	IdentityFile string            `hcl:"identity_file,optional"`
	Options      map[string]string `hcl:"options,optional"`
}

type ruleConfig struct {
	Pattern string `hcl:"pattern"`
	After   string `hcl:"after,optional"`
}

type storeConfig struct {
	Bucket string `hcl:"bucket"`
	Login  *struct {
		Key string `hcl:"key"`
	} `hcl:"login,block"`
}

func (catalog) Describe(_ context.Context, name string) (sdk.Description, error) {
	d := sdk.Description{Name: name, Version: "1"}
	of := func(config any) *schema.Schema { s := schema.Of(config); return &s }
	switch name {
	case "rsync":
		d.Transport = of(&rsyncConfig{})
	case "store":
		d.Transport = of(&storeConfig{})
	case "inotify":
		d.Watcher = of(&struct{}{})
	case "odd":
		d.Transport = &schema.Schema{Attributes: []schema.Attribute{{Name: "a", Type: "text("}}}
	case "dead":
		d.Transport = &schema.Schema{}
	default:
		return d, fmt.Errorf("there is no plugin %q; the nearest name is %q", name, "rsync")
	}
	return d, nil
}

func (catalog) Validate(_ context.Context, name string, kind sdk.Kind, req sdk.ValidateRequest) (diags sdk.Diagnostics, err error) {
	if name == "dead" {
		return nil, fmt.Errorf("the plugin ended")
	}
	if name != "rsync" {
		return nil, nil
	}
	var cfg rsyncConfig
	if err := schema.Decode(req.Config.(json.RawMessage), &cfg); err != nil {
		return nil, err
	}
	if _, err := time.ParseDuration(cfg.Timeout); err != nil && cfg.Timeout != "" {
		diags.AddAttributeError([]any{"timeout"}, "Invalid timeout", "The timeout is no duration. Write one such as \"100s\".")
	}
	if i := slices.Index(cfg.Args, "--daemon"); i >= 0 {
		diags.AddAttributeError([]any{"args", i}, "Unusable argument", "This argument cannot be given. Remove it.")
	}
	if cfg.SSH != nil {
		if cfg.SSH.Port > 65535 {
			diags.AddAttributeError([]any{"ssh", "port"}, "Invalid port", "A port is at most 65535.")
		}
		if _, ok := cfg.SSH.Options["Port"]; ok {
			diags.AddAttributeError([]any{"ssh", "options", "Port"}, "Unusable option", "Use port instead.")
		}
	}
	for i, rule := range cfg.Rule {
		if rule.After == "soon" {
			diags.AddAttributeError([]any{"rule", i, "after"}, "Invalid time", "The time is no duration.")
		}
	}
	if !slices.Contains([]string{"", "ssh", "rsync"}, req.Destination.Scheme) {
		diags = append(diags, sdk.Diagnostic{Subject: sdk.SubjectDestination, Summary: "Unknown scheme", Detail: "rsync does not speak " + req.Destination.Scheme + "."})
	}
	if strings.HasSuffix(req.Source, "/slow") {
		diags = append(diags, sdk.Diagnostic{Severity: sdk.SeverityWarning, Subject: sdk.SubjectSource, Summary: "Slow source", Detail: "This source is slow."})
	}
	return diags, nil
}
