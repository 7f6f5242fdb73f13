package plan

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/zclconf/go-cty/cty"

	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/schema"
)

// described is what came of asking for a plugin.
type described struct {
	sdk.Description
	err error
}

// decoded is what came of decoding a layer. Its problems are reported once, however many syncs
// share it.
type decoded struct {
	value cty.Value
	ok    bool
}

func kindOf(c config.Component) sdk.Kind {
	if c.Kind == sdk.KindTransport.String() {
		return sdk.KindTransport
	}
	return sdk.KindWatcher
}

// automatic reports whether c leaves it to filewatch which plugin it is.
func automatic(c config.Component) bool {
	return kindOf(c) == sdk.KindWatcher && c.Plugin == config.AutoWatcher
}

// schemaOf returns the schema of the plugin that c names.
func (p *planner) schemaOf(c config.Component) (schema.Schema, hcldec.Spec, bool) {
	if c.Plugin == "" { // reported already
		return schema.Schema{}, nil, false
	}
	if automatic(c) {
		return schema.Schema{}, hcldec.ObjectSpec{}, true
	}
	d, ok := p.described[c.Plugin]
	if !ok {
		d.Description, d.err = p.cat.Describe(p.ctx, c.Plugin)
		p.described[c.Plugin] = d
	}
	if d.err != nil {
		p.errorf(c.Range, "Plugin not available", "The %s cannot be used: %s.", c.Kind, d.err)
		return schema.Schema{}, nil, false
	}
	s := d.Component(kindOf(c))
	if s == nil {
		is := sdk.KindWatcher
		if kindOf(c) == sdk.KindWatcher {
			is = sdk.KindTransport
		}
		p.errorf(c.Range, "Plugin of another kind", "The plugin %q is a %s, not a %s. Name another plugin here.", c.Plugin, is, c.Kind)
		return schema.Schema{}, nil, false
	}
	spec, err := specOf(*s)
	if err != nil {
		p.errorf(c.Range, "Plugin not available", "The %s cannot be used: the plugin %q describes its configuration wrongly: %s. Tell its author.", c.Kind, c.Plugin, err)
		return schema.Schema{}, nil, false
	}
	return *s, spec, true
}

// check reports what is wrong with the layers of a component.
func (p *planner) check(c config.Component) {
	if _, spec, ok := p.schemaOf(c); ok {
		for _, layer := range c.Layers {
			p.decode(layer, spec)
		}
	}
}

func (p *planner) decode(layer config.Layer, spec hcldec.Spec) decoded {
	d, ok := p.decoded[layer.Body]
	if !ok {
		value, diags := layer.Decode(spec)
		p.diags = append(p.diags, diags...)
		d = decoded{value, !diags.HasErrors() && value.IsWhollyKnown()}
		p.decoded[layer.Body] = d
	}
	return d
}

// component decodes a component's configuration into out and reports whether it is right.
func (p *planner) component(c config.Component, out *Component) bool {
	s, spec, ok := p.schemaOf(c)
	if !ok {
		return false
	}
	value, diags := hcldec.Decode(hcl.EmptyBody(), spec, nil)
	ok = !diags.HasErrors()
	for i := len(c.Layers) - 1; i >= 0; i-- {
		d := p.decode(c.Layers[i], spec)
		value, ok = overlay(s, d.value, value), ok && d.ok
	}
	for _, path := range missing(s, value, nil) {
		at := locate(c, s, path[:len(path)-1])
		p.errorf(at, "Attribute missing", "The %s %q needs %q. Set it.", c.Kind, c.Plugin, dotted(path))
		ok = false
	}
	for _, path := range nulls(value) {
		p.errorf(locate(c, s, path), "Value missing", "The element %s is null. Give it a value or remove it.", dotted(path))
		ok = false
	}
	if !ok {
		return false
	}
	data, err := marshal(value)
	if err != nil {
		p.errorf(c.Range, "Configuration not usable", "The configuration of %s %q cannot be sent to the plugin: %s.", c.Kind, c.Plugin, err)
		return false
	}
	*out = Component{c.Plugin, data}
	return true
}

// validate lets the plugin judge a component's configuration, for a transport with one destination.
func (p *planner) validate(d *draft, c config.Component, component Component, dest destination) {
	if automatic(c) {
		return
	}
	found, err := p.cat.Validate(p.ctx, c.Plugin, kindOf(c), sdk.ValidateRequest{
		Sync:        d.cfg.Name,
		Source:      d.source.path,
		Destination: dest.Endpoint,
		Exclude:     d.exclude,
		Config:      component.Config,
	})
	if err != nil {
		p.errorf(c.Range, "Plugin not available", "The %s %q cannot judge its configuration: %s.", c.Kind, c.Plugin, err)
	}
	s, _, _ := p.schemaOf(c)
	for _, f := range found {
		at := d.cfg.Source.Range
		switch {
		case f.Subject == sdk.SubjectConfig:
			at = locate(c, s, f.Path)
		case f.Subject == sdk.SubjectDestination && c.Kind == sdk.KindTransport.String():
			at = dest.at
		}
		severity, detail := hcl.DiagError, f.Detail
		if f.Severity == sdk.SeverityWarning {
			severity = hcl.DiagWarning
		}
		if len(c.Layers) == 0 && len(f.Path) > 0 { // no body to point at
			detail = fmt.Sprintf("%s: %s", dotted(f.Path), detail)
		}
		p.add(severity, at, f.Summary, detail)
	}
}
