package filter

import (
	"strings"
	"testing"
)

// FuzzFilter takes a list of patterns, one a line, and a path.
func FuzzFilter(f *testing.F) {
	for _, patterns := range []string{"*.swp\n.git/\n/cache/\n*.tmp", "+ *.conf\n*", "a/***\n!\n- b", "/**[!a-c]\\**", "[[:alpha:]-]?", "**/a*b**c"} {
		f.Add(patterns, "a/b/c.conf")
	}
	f.Fuzz(func(t *testing.T, patterns, path string) {
		if len(patterns) > 2000 || len(path) > 4095 {
			t.Skip("beyond what the file system and rsync take")
		}
		filter, err := Parse(strings.Split(patterns, "\n"))
		if err != nil {
			return
		}
		for _, dir := range []bool{false, true} {
			excluded := filter.Excluded(path, dir)
			if filter.Match(path, dir) && !excluded {
				t.Errorf("%q matches but is not excluded", path)
			}
			if excluded && filter.Empty() {
				t.Errorf("an empty filter excludes %q", path)
			}
			if excluded && !filter.ExcludedMissing(path) {
				t.Errorf("%q is excluded, but not when it is missing", path)
			}
		}
		if filter.Excluded(path, true) && !(filter.Excluded(path+"/a", false) && filter.Excluded(path+"/a", true) && filter.ExcludedMissing(path+"/a")) {
			t.Errorf("%q is excluded, but not what lies below it", path)
		}
	})
}
