package core

import "github.com/filewatch/filewatch/core/internal/status"

// UnderWay is a transfer that is under way.
type UnderWay struct {
	Sync, Destination string
	status.Progress
}

// UnderWay returns the transfers that are under way, in the order of the configuration. It asks nobody.
func (e *Engine) UnderWay() []UnderWay {
	var all []UnderWay
	for _, s := range e.blocks() {
		for _, d := range s.destinations {
			if p, ok := d.Progress(); ok {
				all = append(all, UnderWay{s.plan.Name, d.String(), p})
			}
		}
	}
	return all
}
