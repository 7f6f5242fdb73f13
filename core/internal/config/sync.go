package config

import (
	"path/filepath"
	"time"

	"github.com/hashicorp/hcl/v2"
)

var syncSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{
		{Name: "source", Required: true},
		{Name: "destination", Required: true},
		{Name: "user"},
		{Name: "exclude"},
		{Name: "delete"},
		{Name: "max_delete"},
		{Name: "settle"},
		{Name: "max_delay"},
		{Name: "rescan"},
		{Name: "large_file"},
	},
	Blocks: []hcl.BlockHeaderSchema{
		{Type: "watcher", LabelNames: []string{"plugin"}},
		{Type: "transport", LabelNames: []string{"plugin"}},
	},
}

// AutoWatcher is the name of the watcher that is no plugin: one is chosen for the file system.
const AutoWatcher = "auto"

// builtin is what holds where neither the sync nor the defaults say otherwise.
var builtin = settings{
	Settings: Settings{
		Delete:    Value[bool]{V: true},
		MaxDelete: Value[MaxDelete]{V: MaxDelete{Percent: 50}},
		Settle:    Value[time.Duration]{V: 20 * time.Millisecond},
		MaxDelay:  Value[time.Duration]{V: time.Second},
		Rescan:    Value[time.Duration]{V: time.Hour},
		// Half a second of a gigabit: what a person would notice.
		LargeFile: Value[uint64]{V: 64 << 20},
	},
	watcher:   &Component{Kind: "watcher", Plugin: AutoWatcher},
	transport: &Component{Kind: "transport", Plugin: "rsync"},
}

// settings is what a sync block and the defaults block have in common.
type settings struct {
	Settings
	watcher, transport *Component // nil when there is no such block
}

// over returns s, with under where s says nothing.
func (s settings) over(under settings) settings {
	return settings{
		Settings: Settings{
			User:      s.User.over(under.User),
			Exclude:   s.Exclude.over(under.Exclude),
			Delete:    s.Delete.over(under.Delete),
			MaxDelete: s.MaxDelete.over(under.MaxDelete),
			Settle:    s.Settle.over(under.Settle),
			MaxDelay:  s.MaxDelay.over(under.MaxDelay),
			Rescan:    s.Rescan.over(under.Rescan),
			LargeFile: s.LargeFile.over(under.LargeFile),
		},
		watcher:   s.watcher.over(under.watcher),
		transport: s.transport.over(under.transport),
	}
}

// over returns the component that c and, for the same plugin, under make together.
func (c *Component) over(under *Component) *Component {
	switch {
	case c == nil:
		return under
	case under == nil || c.Plugin != under.Plugin:
		return c
	}
	both := *c
	both.Layers = append(both.Layers[:len(both.Layers):len(both.Layers)], under.Layers...)
	return &both
}

func (s settings) components() (out []Component) {
	for _, c := range []*Component{s.watcher, s.transport} {
		if c != nil {
			out = append(out, *c)
		}
	}
	return out
}

func (r *reader) settings(content *hcl.BodyContent, origin Origin) settings {
	r.origin = origin
	return settings{
		Settings: Settings{
			User:      r.string(content.Attributes["user"]),
			Exclude:   r.strings(content.Attributes["exclude"]),
			Delete:    r.bool(content.Attributes["delete"]),
			MaxDelete: r.maxDelete(content.Attributes["max_delete"]),
			Settle:    r.duration(content.Attributes["settle"]),
			MaxDelay:  r.duration(content.Attributes["max_delay"]),
			Rescan:    r.duration(content.Attributes["rescan"]),
			LargeFile: r.size(content.Attributes["large_file"]),
		},
		watcher:   r.component(content.Blocks.OfType("watcher")),
		transport: r.component(content.Blocks.OfType("transport")),
	}
}

// component reads the one block of its type, if any.
func (r *reader) component(blocks hcl.Blocks) *Component {
	if len(blocks) == 0 {
		return nil
	}
	block := blocks[0]
	for _, extra := range blocks[1:] {
		r.errorf(extra.DefRange, "Defined twice", "There is already a %s at line %d. Remove one of them.", block.Type, block.DefRange.Start.Line)
	}
	name := block.Labels[0]
	if !r.pluginName(name, block.LabelRanges[0]) {
		name = ""
	}
	return &Component{
		Kind:   block.Type,
		Plugin: name,
		Range:  block.LabelRanges[0],
		Layers: []Layer{{block.Body, block.DefRange, r.scope}},
	}
}

// defaults reads the one defaults block, if any.
func (r *reader) defaults(blocks hcl.Blocks) settings {
	if len(blocks) == 0 {
		return settings{}
	}
	for _, extra := range blocks[1:] {
		r.diags = append(r.diags, again(extra.DefRange, blocks[0].DefRange, "The defaults block"))
	}
	schema := *syncSchema
	schema.Attributes = append([]hcl.AttributeSchema{{Name: "source"}, {Name: "destination"}}, syncSchema.Attributes[2:]...)
	content, diags := blocks[0].Body.Content(&schema)
	r.diags = append(r.diags, diags...)
	for _, name := range []string{"source", "destination"} {
		if attr := content.Attributes[name]; attr != nil {
			r.errorf(attr.NameRange, "No default possible", "Each sync block has a %s of its own. Move this one to its sync block.", name)
		}
	}
	s := r.settings(content, FromDefaults)
	r.delays(s.over(builtin).Settings)
	return s
}

func (r *reader) syncs(blocks hcl.Blocks, defaults settings) (syncs []Sync) {
	first := map[string]hcl.Range{}
	for _, block := range blocks {
		name, at := block.Labels[0], block.LabelRanges[0]
		if !syncName.MatchString(name) {
			r.errorf(at, "Invalid name", "The sync name %q must consist of letters, digits, \"_\", \".\" and \"-\", and begin with a letter or digit.", name)
		} else if before, ok := first[name]; ok {
			r.diags = append(r.diags, again(at, before, "The sync %q", name))
		} else {
			first[name] = at
		}
		syncs = append(syncs, r.sync(block, defaults))
	}
	return syncs
}

func (r *reader) sync(block *hcl.Block, defaults settings) Sync {
	content, diags := block.Body.Content(syncSchema)
	r.diags = append(r.diags, diags...)
	set := r.settings(content, FromSync).over(defaults).over(builtin)
	r.delays(set.Settings)
	s := Sync{
		Name:      block.Labels[0],
		NameRange: block.LabelRanges[0],
		Settings:  set.Settings,
		Watcher:   *set.watcher,
		Transport: *set.transport,
	}
	dir, err := filepath.Abs(filepath.Dir(block.DefRange.Filename))
	if err != nil {
		r.errorf(block.DefRange, "Invalid path", "The directory of this file cannot be told: %s.", err)
	}
	s.Dir = dir
	s.Source, _ = r.required(content.Attributes["source"])
	s.Destinations = r.destinations(content.Attributes["destination"])
	for _, c := range []*Component{&s.Watcher, &s.Transport} {
		if c.Range.Empty() { // no block names it
			c.Range = s.NameRange
		}
	}
	return s
}

func (r *reader) destinations(attr *hcl.Attribute) []Value[string] {
	if attr == nil {
		return nil // reported by the schema
	}
	before := len(r.diags)
	out := r.stringOrStrings(attr)
	if len(out) > 0 || len(r.diags) > before {
		return out
	}
	r.missing(attr)
	if v, _ := r.scope.eval(attr.Expr); v.IsWhollyKnown() && !v.IsNull() {
		r.errorf(attr.Expr.Range(), "No destination", "The list of destinations is empty. Name at least one.")
	}
	return nil
}

// delays checks that max_delay leaves room for settle. It reports at the more specific of both.
func (r *reader) delays(s Settings) {
	if s.MaxDelay.V >= s.Settle.V {
		return
	}
	at := s.Settle
	if s.MaxDelay.Origin >= s.Settle.Origin {
		at = s.MaxDelay
	}
	r.errorf(at.Range, "Delays do not fit", "A change waits settle (%s) but never longer than max_delay (%s). Set max_delay to at least settle.", s.Settle.V, s.MaxDelay.V)
}
