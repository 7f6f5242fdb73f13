package plan

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/sdk"
)

// destinations resolves the destinations of a sync.
func (p *planner) destinations(d *draft) {
	user := d.cfg.User
	if user.Origin != config.Unset {
		if err := checkUser(user.V); err != nil {
			p.errorf(user.Range, "Invalid user", "The user cannot be used: %s.", err)
			user = config.Value[string]{}
		}
	}
	remote := len(d.cfg.Destinations) == 0 // nothing is known of them
	for _, written := range d.cfg.Destinations {
		ep, err := parse(written.V)
		remote = remote || err != nil || ep.Scheme != sdk.SchemeLocal
		if err == nil && ep.Scheme == sdk.SchemeLocal {
			ep.Path, err = local(d.cfg.Dir, ep.Path)
		}
		if err == nil && ep.Scheme != sdk.SchemeLocal && user.V != "" {
			if ep.User != "" && ep.User != user.V {
				p.errorf(written.Range, "Two users", "The destination names the user %q, but user at %s:%d is %q. Remove one of them.",
					ep.User, user.Range.Filename, user.Range.Start.Line, user.V)
				continue
			}
			ep.User = user.V
		}
		var there sdk.Endpoint
		if err == nil && d.source.path != "" {
			there, err = effective(ep, d.source)
		}
		if err != nil {
			p.errorf(written.Range, "Invalid destination", "The destination %q cannot be used: %s.", written.V, err)
			continue
		}
		if d.source.path == "" {
			continue // the source is to be mended first
		}
		if base := d.source.base(); !d.source.contents && path.Base(ep.Path) == base {
			p.warnf(written.Range, "Directory in itself", "As with rsync, a source without a trailing slash goes into the destination as a directory: the result is %s. If it should be %s, write source = %q, with a trailing slash.",
				printable(there.String()), printable(ep.String()), d.cfg.Source.V+"/")
		}
		d.destinations = append(d.destinations, destination{there, written.Range})
	}
	if !remote && user.Origin == config.FromSync {
		p.warnf(user.Range, "User without effect", "All destinations of this sync are on this machine, where files are written as the user that runs filewatch. Remove user.")
	}
}

// effective returns where the contents of the source go: rsync's rule is that a source without a
// trailing slash goes into the destination under its own name.
func effective(ep sdk.Endpoint, s source) (sdk.Endpoint, error) {
	if ep.Scheme == sdk.SchemeLocal {
		if !s.contents {
			ep.Path = filepath.Join(ep.Path, s.base())
		}
		return ep, nil
	}
	home := ep.Scheme == sdk.SchemeSSH && ep.Path == ""
	if home && s.contents {
		return ep, fmt.Errorf("it is the home directory itself, and whatever is in it but not in the source would be deleted; name a directory, or write %q if that is meant", ep.String()+"./")
	}
	switch trimmed := strings.TrimRight(ep.Path, "/"); {
	case trimmed == "" && ep.Path != "":
		ep.Path = "/"
	default:
		ep.Path = trimmed
	}
	if !s.contents {
		if ep.Path != "" && ep.Path != "/" {
			ep.Path += "/"
		}
		// At the front, the name of a directory must not read as an option, a home or a module.
		if home && strings.ContainsAny(s.base()[:1], "-~:") {
			ep.Path = "./"
		}
		ep.Path += s.base()
	}
	if strings.HasPrefix(ep.Path, "-") && ep.Scheme == sdk.SchemeSSH {
		ep.Path = "./" + ep.Path
	}
	if strings.Contains(ep.Path, "\n") {
		return ep, errors.New("a path on another machine cannot hold a line break; if it is that of the source, write the source with a trailing slash and name the directory in the destination")
	}
	return ep, nil
}
