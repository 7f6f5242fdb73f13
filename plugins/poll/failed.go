package poll

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
)

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
	return relpath.Fewer(relpath.Topmost(paths), relpath.MaxUnwatched), strings.Join(slices.Sorted(maps.Values(reasons)), "; ")
}

// join returns the path of name in dir.
func join(dir string, name []byte) string {
	if dir == "" {
		return string(name)
	}
	return dir + "/" + string(name)
}
