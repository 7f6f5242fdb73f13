package plan

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/filewatch/filewatch/core/internal/config"
)

// apart keeps a sync away from the state directory. Inside a source it is left out: else each transfer,
// which writes there, would be the reason for the next. A destination may not hold it, or the sync would
// delete what filewatch remembers.
func (p *planner) apart(cfg *config.Config, d *draft) {
	if cfg.StateDir == "" {
		return
	}
	state := localTree(&p.paths, cfg.StateDir)
	for _, dest := range d.destinations {
		if treeOf(&p.paths, dest.Endpoint).overlaps(state) {
			p.errorf(dest.at, "Destination overlaps the state directory", "%s overlaps %s, where filewatch keeps what it must remember: the sync would delete or overwrite that. Name another destination, or another state_dir.", printable(dest.String()), printable(cfg.StateDir))
		}
	}
	if d.source.path == "" {
		return
	}
	switch source := localTree(&p.paths, d.source.path); {
	case source.within(state):
		p.errorf(d.cfg.Source.Range, "Source in the state directory", "The source %s lies in %s, where filewatch keeps what it must remember: each transfer would be the reason for the next. Name another state_dir.", printable(d.source.path), printable(cfg.StateDir))
	case state.within(source):
		below, err := filepath.Rel(source.path, state.path)
		if err != nil {
			return // not of two absolute paths
		}
		// After a "!", which discards what is before it, and else before all others: the first one that
		// matches decides.
		first := len(d.exclude) - 1
		for first >= 0 && d.exclude[first] != "!" {
			first--
		}
		d.exclude = slices.Insert(d.exclude, first+1, anchored(below))
	}
}

// anchored returns the pattern that matches this one directory of the source. A backslash is taken for
// an escape only where there is a wildcard as well (rsync(1), PATTERN MATCHING RULES).
func anchored(path string) string {
	if strings.ContainsAny(path, "*?[\n") {
		path = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "\n", "?").Replace(path)
	}
	return "/" + path + "/"
}
