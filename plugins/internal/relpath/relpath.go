// Package relpath works with paths below a watched root: relative to it, separated by "/", "" being the
// root itself.
package relpath

import (
	"maps"
	"slices"
	"strings"
)

// Join returns the path of name in dir; a name that is "" is dir itself.
func Join(dir, name string) string {
	switch {
	case dir == "":
		return name
	case name == "":
		return dir
	}
	return dir + "/" + name
}

// Parent returns the path of the directory that p, which is not the root, is in.
func Parent(p string) string {
	return p[:max(strings.LastIndexByte(p, '/'), 0)]
}

// Below returns path, which is absolute, relative to dir. It reports false when it is not dir and not
// below it.
func Below(path, dir string) (rel string, ok bool) {
	if path == dir {
		return "", true
	}
	return strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// Topmost returns the paths, sorted, without those that lie below another one.
func Topmost(paths []string) []string {
	set := make(map[string]struct{}, len(paths))
	for _, p := range paths {
		set[p] = struct{}{}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(set)), func(p string) bool {
		for p != "" {
			p = Parent(p)
			if _, ok := set[p]; ok {
				return true
			}
		}
		return false
	})
}

// MaxUnwatched is how many unwatched subtrees a watcher names; past it their common parents are named.
const MaxUnwatched = 1000

// Fewer replaces the deepest of the topmost paths by their parents until at most limit are left.
func Fewer(paths []string, limit int) []string {
	paths = slices.Clone(paths)
	for len(paths) > limit {
		depth := 0
		for _, p := range paths {
			depth = max(depth, strings.Count(p, "/"))
		}
		for i, p := range paths {
			if strings.Count(p, "/") == depth {
				paths[i] = Parent(p)
			}
		}
		paths = Topmost(paths)
	}
	return paths
}
