package poll

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// minInterval is the shortest interval: file systems do not tell times that are closer than this apart.
const minInterval = 10 * time.Millisecond

// config is the body of a watcher block.
type config struct {
	Interval time.Duration `hcl:"interval,optional" doc:"Time from one look at the tree to the next."`
	MaxLoad  string        `hcl:"max_load,optional" doc:"The most of one processor core's time that polling the tree may take; the interval is stretched to keep to it."`
}

// defaultConfig returns the configuration of an empty block.
func defaultConfig() *config { return &config{Interval: 2 * time.Second, MaxLoad: "10%"} }

// Config implements sdk.Configurable.
func (watcher) Config() any { return defaultConfig() }

// Validate implements sdk.Validator.
func (watcher) Validate(_ context.Context, req sdk.ValidateRequest) sdk.Diagnostics {
	var diags sdk.Diagnostics
	c, ok := req.Config.(*config)
	if !ok {
		return nil
	}
	if c.Interval < minInterval {
		diags.AddAttributeError([]any{"interval"}, "Interval too short", fmt.Sprintf("Give at least %q: file systems do not tell times apart that are closer.", minInterval))
	}
	if _, err := parsePercent(c.MaxLoad); err != nil {
		diags.AddAttributeError([]any{"max_load"}, "Bad percentage", err.Error()+".")
	}
	return diags
}

// parsePercent returns the part of one that a percentage names, which is more than none and at most all.
func parsePercent(s string) (float64, error) {
	number, ok := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	// The comparison is false for NaN, too.
	if !ok || err != nil || !(v > 0 && v <= 100) {
		return 0, fmt.Errorf(`%q is not a percentage from above "0%%" to "100%%", such as "10%%" or "0.5%%"`, s)
	}
	return v / 100, nil
}
