package mounts

import (
	"strings"

	"github.com/filewatch/filewatch/sdk/mountinfo"
)

// visible returns what is mounted below root, which is absolute and free of symlinks, by path relative to
// it. What another mount hides is not there.
func visible(all []mountinfo.Mount, root string) map[string]mountinfo.Mount {
	known := make(map[uint64]bool, len(all))
	children := make(map[uint64][]mountinfo.Mount)
	for _, m := range all {
		known[m.ID] = true
		if m.Parent != m.ID {
			children[m.Parent] = append(children[m.Parent], m)
		}
	}
	// resolve returns the mount that path leads to, by way of those that it crosses.
	resolve := func(at mountinfo.Mount, path string) mountinfo.Mount {
		for hops := 0; hops <= len(all); {
			next, found := mountinfo.Mount{}, false
			for _, c := range children[at.ID] {
				if _, ok := under(path, c.Point); ok && (!found || len(c.Point) < len(next.Point)) {
					next, found = c, true
				}
			}
			if !found {
				break
			}
			at = next
			hops++
		}
		return at
	}
	var top mountinfo.Mount
	for _, m := range all {
		if !known[m.Parent] || m.Parent == m.ID {
			top = m
			break
		}
	}
	below := make(map[string]mountinfo.Mount)
	for _, m := range all {
		rel, ok := under(m.Point, root)
		if !ok || rel == "" {
			continue
		}
		if got := resolve(top, m.Point); got.Point == m.Point {
			below[rel] = got
		}
	}
	return below
}

// under returns path relative to dir, and whether it lies there.
func under(path, dir string) (rel string, ok bool) {
	if path == dir {
		return "", true
	}
	return strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
