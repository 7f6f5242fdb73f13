package plan

import (
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/filewatch/filewatch/core/internal/answer"
	"github.com/filewatch/filewatch/sdk"
)

// tree is a directory tree in a form in which equal trees are equal.
type tree struct {
	machine string // "" is this one
	path    string
}

// within reports whether t is o or a part of it.
func (t tree) within(o tree) bool {
	return t.machine == o.machine && (t.path == o.path || strings.HasPrefix(t.path, strings.TrimSuffix(o.path, "/")+"/"))
}

func (t tree) overlaps(o tree) bool { return t.within(o) || o.within(t) }

// localTree is the tree at an absolute path here, symbolic links resolved as far as it exists.
func localTree(paths *answer.Paths, p string) tree {
	rest := ""
	for dir := p; ; dir = filepath.Dir(dir) {
		if real, err := answer.Within(paths, dir, func() (string, error) { return filepath.EvalSymlinks(dir) }); err == nil {
			return tree{path: filepath.Join(real, rest)}
		}
		if dir == filepath.Dir(dir) {
			return tree{path: p}
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}

// treeOf is the tree that an endpoint names. For whom it is written does not matter, except where
// the path is relative to somebody's home.
func treeOf(paths *answer.Paths, ep sdk.Endpoint) tree {
	switch ep.Scheme {
	case sdk.SchemeLocal:
		return localTree(paths, ep.Path)
	case sdk.SchemeSSH:
		return tree{"ssh://" + machine(ep.Host), remotePath(ep)}
	}
	port := ep.Port
	if ep.Scheme == schemeRsync && port == 0 {
		port = 873 // IANA: rsync
	}
	return tree{ep.Scheme + "://" + machine(ep.Host) + ":" + strconv.Itoa(port), path.Clean("/" + ep.Path)}
}

// remotePath makes the ways equal in which a shell at the far end can be told a directory.
func remotePath(ep sdk.Endpoint) string {
	if strings.HasPrefix(ep.Path, "/") {
		return path.Clean(ep.Path)
	}
	home, rest := "~"+ep.User, ep.Path
	if strings.HasPrefix(rest, "~") {
		name, below, _ := strings.Cut(rest, "/")
		if name != "~" {
			home = name
		}
		rest = below
	}
	return path.Join(home, rest)
}

// machine makes the names of a host equal. All names of this machine are "localhost".
func machine(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if a, err := netip.ParseAddr(host); err == nil {
		if a.IsLoopback() {
			return "localhost"
		}
		return a.String()
	}
	if name, err := os.Hostname(); err == nil && host == strings.ToLower(name) {
		return "localhost"
	}
	return host
}

// site is a destination among those of all syncs.
type site struct {
	sync int // index of the draft
	at   hcl.Range
	ep   sdk.Endpoint
	tree tree
}

// overlaps checks sources and destinations of all syncs against each other.
func (p *planner) overlaps(drafts []*draft) {
	sources := make([]tree, len(drafts))
	var sites []site
	for i, d := range drafts {
		if d.source.path != "" {
			sources[i] = localTree(&p.paths, d.source.path)
		}
		for _, dest := range d.destinations {
			sites = append(sites, site{i, dest.at, dest.Endpoint, treeOf(&p.paths, dest.Endpoint)})
		}
	}
	for i, s := range sites {
		p.againstSource(drafts[s.sync], sources[s.sync], s)
		for _, other := range sites[:i] {
			p.againstOther(drafts, s, other)
		}
	}
	p.cycles(drafts, sources, sites)
}

// againstSource refuses a destination that a sync would read back.
func (p *planner) againstSource(d *draft, source tree, s site) {
	there := printable(s.ep.String())
	switch {
	case s.tree.machine == "" && s.tree == source:
		p.errorf(s.at, "Destination is the source", "The contents of %s would go into the same directory. Name another destination; without a trailing slash, the source goes into the destination under its own name.", printable(d.source.path))
	case s.tree.machine == "" && s.tree.within(source):
		p.errorf(s.at, "Destination inside the source", "%s lies inside the source %s: the sync would copy its own copies without end. Name a destination outside of it.", there, printable(d.source.path))
	case s.tree.machine == "" && source.within(s.tree):
		p.errorf(s.at, "Source inside the destination", "The source %s lies inside %s, which the sync writes: it would overwrite or delete its own source. Name another destination.", printable(d.source.path), there)
	case s.tree.machine == "ssh://localhost" && source.overlaps(tree{path: s.tree.path}):
		p.warnf(s.at, "Destination may be the source", "%s seems to be on this machine and overlaps the source %s. If it is, the sync would copy or delete its own files: name another destination.", there, printable(d.source.path))
	}
}

// againstOther refuses two destinations of which each would delete what the other brings.
func (p *planner) againstOther(drafts []*draft, s, other site) {
	if !s.tree.overlaps(other.tree) {
		return
	}
	mine, its := printable(s.ep.String()), printable(other.ep.String())
	same := "is also"
	if s.tree != other.tree {
		same = "overlaps " + its + ","
	}
	remedy := "Each would delete what the other brings. Give them separate directories"
	if s.tree.machine != "" {
		remedy += "; if these are different machines behind one name, give each a name of its own in ~/.ssh/config"
	}
	p.errorf(s.at, "Destinations overlap", "%s %s a destination of sync %q, at %s:%d. %s.",
		mine, same, drafts[other.sync].cfg.Name, other.at.Filename, other.at.Start.Line, remedy)
}

// cycles refuses local syncs that feed each other in a circle. A chain is fine.
func (p *planner) cycles(drafts []*draft, sources []tree, sites []site) {
	feeds := make([][]site, len(drafts)) // by sync: its local destinations
	for _, s := range sites {
		if s.tree.machine == "" && !s.tree.overlaps(sources[s.sync]) {
			feeds[s.sync] = append(feeds[s.sync], s)
		}
	}
	reported := make([]bool, len(drafts))
	for start := range drafts {
		if reported[start] {
			continue
		}
		circle := shortestCircle(start, sources, feeds)
		if circle == nil {
			continue
		}
		var names []string
		for _, s := range circle {
			reported[s.sync] = true
			names = append(names, drafts[s.sync].cfg.Name)
		}
		names = append(names, drafts[start].cfg.Name)
		p.errorf(circle[0].at, "Syncs in a circle", "Each of these syncs writes into the source of the next: %s. A change would go round without end, and the newer file could lose. Remove one of them.", strings.Join(names, " → "))
	}
}

// shortestCircle returns the destinations that lead from sync start back to it, or nil.
func shortestCircle(start int, sources []tree, feeds [][]site) []site {
	type step struct {
		sync int
		way  []site
	}
	seen := make([]bool, len(sources))
	for todo := []step{{sync: start}}; len(todo) > 0; todo = todo[1:] {
		for _, s := range feeds[todo[0].sync] {
			way := append(todo[0].way[:len(todo[0].way):len(todo[0].way)], s)
			for next, source := range sources {
				switch {
				case source.path == "" || !s.tree.overlaps(source):
				case next == start:
					return way
				case !seen[next]:
					seen[next] = true
					todo = append(todo, step{next, way})
				}
			}
		}
	}
	return nil
}
