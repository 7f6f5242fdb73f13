package inotify

import (
	"maps"
	"slices"
	"strings"
)

// maxUnwatched is how many unwatched subtrees are named; past it their common parents are.
const maxUnwatched = 1000

// join returns the path of name in dir.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// parentOf returns the path of the directory that p, which is not the root, is in.
func parentOf(p string) string {
	return p[:max(strings.LastIndexByte(p, '/'), 0)]
}

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
	paths = slices.Clone(paths)
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
