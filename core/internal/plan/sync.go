package plan

import (
	"errors"

	"github.com/hashicorp/hcl/v2"

	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// draft is a sync under way: what is known of it, however wrong the rest may be.
type draft struct {
	cfg          *config.Sync
	source       source // zero when wrong
	destinations []destination
	exclude      []string
	watcher      Component
	transport    Component
}

// destination is a draft's destination that is right so far.
type destination struct {
	sdk.Endpoint
	at hcl.Range
}

func (d *draft) plan() Sync {
	s := Sync{
		Name:      d.cfg.Name,
		Source:    d.source.path,
		Exclude:   d.exclude,
		Delete:    d.cfg.Delete.V,
		MaxDelete: d.cfg.MaxDelete.V,
		Settle:    d.cfg.Settle.V,
		MaxDelay:  d.cfg.MaxDelay.V,
		Rescan:    d.cfg.Rescan.V,
		LargeFile: d.cfg.LargeFile.V,
		Watcher:   d.watcher,
		Transport: d.transport,
	}
	for _, dest := range d.destinations {
		s.Destinations = append(s.Destinations, dest.Endpoint)
	}
	return s
}

// sync checks one sync block on its own.
func (p *planner) sync(cfg *config.Sync) *draft {
	d := &draft{cfg: cfg}
	if cfg.Source.Origin != config.Unset {
		d.source = p.source(cfg)
	}
	p.destinations(d)
	p.exclude(d)
	if ok := p.component(cfg.Watcher, &d.watcher); ok && d.source.path != "" {
		p.validate(d, cfg.Watcher, d.watcher, destination{})
	}
	if ok := p.component(cfg.Transport, &d.transport); ok && d.source.path != "" {
		for _, dest := range d.destinations {
			p.validate(d, cfg.Transport, d.transport, dest)
		}
	}
	return d
}

func (p *planner) exclude(d *draft) {
	for _, pattern := range d.cfg.Exclude.V {
		d.exclude = append(d.exclude, pattern.V)
	}
	_, err := filter.Parse(d.exclude)
	for _, err := range split(err) {
		at, reason := d.cfg.Exclude.Range, err.Error()
		if bad, ok := errors.AsType[*filter.PatternError](err); ok {
			at, reason = d.cfg.Exclude.V[bad.Index].Range, bad.Reason
		}
		p.errorf(at, "Invalid exclude pattern", "The pattern cannot be used: %s.", reason)
	}
}

// split returns the errors that errors.Join joined.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
