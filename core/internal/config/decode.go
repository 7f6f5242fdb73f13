package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

var fileSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "log_level"}, {Name: "log_format"}, {Name: "state_dir"}, {Name: "max_transfers"}},
	Blocks: []hcl.BlockHeaderSchema{
		{Type: "sync", LabelNames: []string{"name"}},
		{Type: "defaults"},
		{Type: "variable", LabelNames: []string{"name"}},
		{Type: "locals"},
		{Type: "plugin", LabelNames: []string{"name"}},
	},
}

var pluginSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "path", Required: true}, {Name: "sha256"}},
}

var (
	pluginName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	syncName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	sha256Hex  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// decode fills cfg from the files' bodies.
func (cfg *Config) decode(bodies []*hclsyntax.Body, vars map[string]string) hcl.Diagnostics {
	all := &hcl.BodyContent{Attributes: hcl.Attributes{}}
	var diags hcl.Diagnostics
	for _, body := range bodies {
		content, more := body.Content(fileSchema)
		diags = append(diags, more...)
		for name, attr := range content.Attributes {
			if first, ok := all.Attributes[name]; ok {
				diags = append(diags, again(attr.NameRange, first.NameRange, "The attribute %q", name))
				continue
			}
			all.Attributes[name] = attr
		}
		all.Blocks = append(all.Blocks, content.Blocks...)
	}
	blocks := all.Blocks.ByType()

	r := &reader{scope: newScope(), origin: FromSync}
	r.variables(blocks["variable"], vars)
	r.locals(blocks["locals"])

	cfg.LogLevel = r.oneOf(all.Attributes["log_level"], "info", "trace", "debug", "info", "warn", "error")
	cfg.LogFormat = r.oneOf(all.Attributes["log_format"], "text", "text", "json")
	cfg.StateDir = r.stateDir(all.Attributes["state_dir"])
	cfg.MaxTransfers = r.count(all.Attributes["max_transfers"])
	cfg.Plugins = r.plugins(blocks["plugin"])
	defaults := r.defaults(blocks["defaults"])
	cfg.Defaults = defaults.components()
	cfg.Syncs = r.syncs(blocks["sync"], defaults)
	diags = append(diags, r.diags...)
	if len(blocks["sync"]) == 0 && !diags.HasErrors() { // an error may well be that block
		diags = append(diags, problem("No sync", "The configuration has no sync block, so that there is nothing to do. Add a block sync \"NAME\" with a source and a destination."))
	}
	return diags
}

// again reports a second definition.
func again(at, first hcl.Range, format string, args ...any) *hcl.Diagnostic {
	return errorf(at, "Defined twice", format+" is already at %s:%d. Remove one of them or give one another name.",
		append(args, first.Filename, first.Start.Line)...)
}

// oneOf reads a string that is one of few.
func (r *reader) oneOf(attr *hcl.Attribute, otherwise string, choices ...string) string {
	v := r.string(attr)
	if v.Origin == Unset {
		return otherwise
	}
	if !slices.Contains(choices, v.V) {
		r.errorf(v.Range, "Invalid value", "The value of %q must be one of %s.%s", attr.Name, strings.Join(choices, ", "), nearest(v.V, slices.Values(choices)))
		return otherwise
	}
	return v.V
}

func (r *reader) plugins(blocks hcl.Blocks) (plugins []Plugin) {
	first := map[string]hcl.Range{}
	for _, block := range blocks {
		p := Plugin{Name: block.Labels[0], Range: block.LabelRanges[0]}
		r.pluginName(p.Name, p.Range)
		if at, ok := first[p.Name]; ok {
			r.diags = append(r.diags, again(p.Range, at, "The plugin %q", p.Name))
		} else {
			first[p.Name] = p.Range
		}
		content, diags := block.Body.Content(pluginSchema)
		r.diags = append(r.diags, diags...)
		if path, ok := r.required(content.Attributes["path"]); ok {
			abs, err := Abs(filepath.Dir(path.Range.Filename), path.V)
			if err != nil {
				r.errorf(path.Range, "Invalid path", "The plugin cannot be found there: %s.", err)
			}
			p.Path = abs
		}
		if sum := r.string(content.Attributes["sha256"]); sum.Origin != Unset {
			p.SHA256 = strings.ToLower(sum.V)
			if !sha256Hex.MatchString(p.SHA256) {
				r.errorf(sum.Range, "Invalid checksum", "A SHA-256 checksum is 64 hexadecimal digits, as `sha256sum FILE` prints them.")
			}
		}
		plugins = append(plugins, p)
	}
	return plugins
}

func (r *reader) pluginName(name string, at hcl.Range) bool {
	ok := pluginName.MatchString(name)
	if !ok {
		r.errorf(at, "Invalid name", "The plugin name %q must consist of lower-case letters, digits and \"-\", and begin with a letter.", name)
	}
	return ok
}

// required reads a string that may not be null. That it may not be missing is the schema's matter.
func (r *reader) required(attr *hcl.Attribute) (Value[string], bool) {
	before := len(r.diags)
	v := r.string(attr)
	if attr != nil && v.Origin == Unset && len(r.diags) == before {
		r.missing(attr)
	}
	return v, v.Origin != Unset
}

// missing reports an attribute that is null, unless that comes from a mistake elsewhere.
func (r *reader) missing(attr *hcl.Attribute) {
	if r.unset(attr) {
		r.errorf(attr.Expr.Range(), "Value missing", "The value of %q is null. Give it a value.", attr.Name)
	}
}

// unset reports whether an attribute is left out, or null, and nothing is wrong with that.
func (r *reader) unset(attr *hcl.Attribute) bool {
	if attr == nil {
		return true
	}
	v, _ := r.scope.eval(attr.Expr)
	return v.IsKnown() && v.IsNull()
}
