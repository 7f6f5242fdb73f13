package rsync

import (
	"path"
	"strings"
)

// blameEntries returns the function that names the changes behind a path of a run with a list. The
// directories above an entry are blamed themselves: their attributes go along.
func blameEntries(entries []entry) func(string) []string {
	byPath := map[string]*entry{}
	above := map[string]bool{"": true}
	for i := range entries {
		e := &entries[i]
		byPath[e.path] = e
		for p := path.Dir(e.path); p != "." && !above[p]; p = path.Dir(p) {
			above[p] = true
		}
	}
	return func(p string) []string {
		if e := byPath[p]; e != nil {
			return e.owners
		}
		for q := path.Dir(p); q != "."; q = path.Dir(q) {
			if e := byPath[q]; e != nil && e.state != stateDir {
				return e.owners // what has to go from the destination first
			}
		}
		if above[p] {
			return []string{p}
		}
		return nil // beside an entry, in a directory that was compared for another's sake
	}
}

// blameTrees is the same for subtrees, of which any path may be to blame.
func blameTrees(trees []string) func(string) []string {
	return func(p string) []string {
		for _, tree := range trees {
			if _, ok := below(tree, p); ok || p == "" || strings.HasPrefix(tree, p+"/") {
				return []string{p}
			}
		}
		return nil
	}
}
