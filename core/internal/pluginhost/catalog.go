package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// Catalog is what the plugin names of one configuration mean.
type Catalog struct {
	host     *Host
	programs map[string]Program
}

// Catalog returns a catalog of the built-in plugins and of programs, which come first. Catalogs share
// the processes of equal programs.
func (h *Host) Catalog(programs []Program) *Catalog {
	c := &Catalog{host: h, programs: make(map[string]Program)}
	for _, name := range h.builtins {
		c.programs[name] = Program{Name: name}
	}
	for _, p := range programs {
		c.programs[p.Name] = p
	}
	return c
}

// Plugin returns the supervisor of the named plugin; see Host.Plugin.
func (c *Catalog) Plugin(name string) (*Plugin, error) {
	program, ok := c.programs[name]
	if !ok {
		return nil, unknownPlugin(name, slices.Sorted(maps.Keys(c.programs)))
	}
	return c.host.Plugin(program)
}

// Describe starts the named plugin unless it runs, and returns what it is. It fails as soon as the
// start does, though the supervisor goes on trying.
func (c *Catalog) Describe(ctx context.Context, name string) (sdk.Description, error) {
	lease, err := c.try(ctx, name)
	if err != nil {
		return sdk.Description{}, err
	}
	return lease.Description(), nil
}

// Validate asks the named plugin to judge a configuration. req.Config is a json.RawMessage. A plugin
// that takes too long is an error.
func (c *Catalog) Validate(ctx context.Context, name string, kind sdk.Kind, req sdk.ValidateRequest) (sdk.Diagnostics, error) {
	lease, err := c.try(ctx, name)
	if err != nil {
		return nil, err
	}
	diags, err := c.validate(ctx, lease, name, kind, req)
	if !sdk.IsUnavailable(err) || !lease.ends(ctx) {
		return diags, err
	}
	// That it has ended is no mistake of the configuration, unless it is because of it: then the next one does
	// so too.
	if lease, err = c.try(ctx, name); err != nil {
		return nil, err
	}
	return c.validate(ctx, lease, name, kind, req)
}

func (c *Catalog) validate(ctx context.Context, lease *Lease, name string, kind sdk.Kind, req sdk.ValidateRequest) (sdk.Diagnostics, error) {
	// Not a deadline, which the plugin would be told: it may end the call first, with words of its own.
	late := fmt.Errorf("plugin %s did not judge the configuration within %v", name, c.host.timing.validate)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer time.AfterFunc(c.host.timing.validate, func() { cancel(late) }).Stop()
	diags, err := lease.Validate(ctx, kind, req)
	if err != nil && context.Cause(ctx) == late {
		err = late
	}
	return diags, err
}

// try returns the process of the named plugin. One that ends while it starts is started a second time, for
// somebody may have killed it.
func (c *Catalog) try(ctx context.Context, name string) (*Lease, error) {
	p, err := c.Plugin(name)
	if err != nil {
		return nil, err
	}
	lease, err := p.try(ctx)
	if errors.As(err, new(*endedError)) {
		lease, err = p.try(ctx)
	}
	return lease, err
}

// Retain ends all plugins of the host but those that names mean here, in the background. Whoever uses one of
// them all the same starts it again.
func (c *Catalog) Retain(ctx context.Context, names []string) {
	var programs []Program
	for _, name := range names {
		programs = append(programs, c.programs[name])
	}
	c.host.retain(ctx, programs)
}
