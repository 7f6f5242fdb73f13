package poll

import (
	"maps"
	"slices"
	"strings"
)

// way leads from a directory to the subtrees that are looked at, by the names of what is in it. Where it
// ends, as a nil one does, all is looked at.
type way map[string]way

// newWay returns the way from the root to the paths in only.
func newWay(only []string) way {
	if len(only) == 0 || slices.Contains(only, "") {
		return nil
	}
	root := way{}
	for _, p := range only {
		at := root
		for rest := p; ; {
			name, after, more := strings.Cut(rest, "/")
			next, known := at[name]
			if known && next == nil { // all of it is looked at already
				break
			}
			if !more {
				at[name] = nil
				break
			}
			if !known {
				next = way{}
				at[name] = next
			}
			at, rest = next, after
		}
	}
	return root
}

// names returns the names on the way, always in the same order.
func (w way) names() []string { return slices.Sorted(maps.Keys(w)) }
