package poll

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxUnwatched is how many paths are named that could not be looked at; past it their common parents are.
const maxUnwatched = 1000

// summarize returns the topmost of the paths that failed, sorted, and the reasons.
func summarize(failed []failure) (paths []string, reason string) {
	slices.SortFunc(failed, func(a, b failure) int { return strings.Compare(a.path, b.path) })
	reasons := make(map[string]string)
	for _, f := range failed {
		paths = append(paths, f.path)
		if _, ok := reasons[f.err.Error()]; ok {
			continue
		}
		reasons[f.err.Error()] = fmt.Sprintf("%q cannot be read: %v", f.path, f.err)
		if denied(f.err) {
			reasons[f.err.Error()] = fmt.Sprintf("the user that filewatch runs as must be allowed to read and enter directories such as %q: %v", f.path, f.err)
		}
	}
	return fewer(topmost(paths), maxUnwatched), strings.Join(slices.Sorted(maps.Values(reasons)), "; ")
}

// join returns the path of name in dir.
func join(dir string, name []byte) string {
	if dir == "" {
		return string(name)
	}
	return dir + "/" + string(name)
}

// parentOf returns the path of the directory that p, which is not the root, is in.
func parentOf(p string) string { return p[:max(strings.LastIndexByte(p, '/'), 0)] }

// topmost returns the paths, sorted, without those that lie below another one.
func topmost(paths []string) []string {
	set := make(map[string]struct{}, len(paths))
	for _, p := range paths {
		set[p] = struct{}{}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(set)), func(p string) bool {
		for p != "" {
			p = parentOf(p)
			if _, ok := set[p]; ok {
				return true
			}
		}
		return false
	})
}

// fewer replaces the deepest of the topmost paths by their parents until at most limit are left.
func fewer(paths []string, limit int) []string {
	for len(paths) > limit {
		depth := 0
		for _, p := range paths {
			depth = max(depth, strings.Count(p, "/"))
		}
		for i, p := range paths {
			if strings.Count(p, "/") == depth {
				paths[i] = parentOf(p)
			}
		}
		paths = topmost(paths)
	}
	return paths
}
