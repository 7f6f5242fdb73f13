package filter_test

import (
	"strings"
	"testing"

	"github.com/filewatch/filewatch/sdk/filter"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

func FuzzLiteral(f *testing.F) {
	for _, n := range tree.HostileNames() {
		f.Add(n)
	}
	f.Add(strings.Repeat("long*/", 900) + "x")
	f.Fuzz(func(t *testing.T, path string) {
		for name := range strings.SplitSeq(path, "/") {
			if name == "" || name == "." || name == ".." || len(name) > 255 || strings.Contains(name, "\x00") {
				return
			}
		}
		p, err := filter.Parse([]string{filter.Literal(path)})
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		if !p.Excluded(path, true) || !p.Excluded(path+"/x", false) {
			t.Errorf("%q is not excluded by %q", path, filter.Literal(path))
		}
		if len(path) < 1000 && p.Excluded(path+"x", false) {
			t.Errorf("%q is excluded by %q", path+"x", filter.Literal(path))
		}
	})
}
