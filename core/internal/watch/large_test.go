package watch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

func TestCountDirs(t *testing.T) {
	root := t.TempDir()
	for i := range 30 {
		for _, d := range []string{"a", "skip", "mounted"} {
			if err := os.MkdirAll(filepath.Join(root, d, fmt.Sprint(i), "x"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(root+"/f", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", root+"/link"); err != nil {
		t.Fatal(err)
	}
	exclude, err := filter.Parse([]string{"skip/"})
	if err != nil {
		t.Fatal(err)
	}
	if n, all := countDirs(t.Context(), root, exclude, []string{"mounted"}, 1000); n != 1+61+1 || !all {
		t.Errorf("%d, %t", n, all)
	}
	if n, all := countDirs(t.Context(), root, nil, nil, 1000); n != 1+3*61 || !all {
		t.Errorf("%d, %t", n, all)
	}
	if n, _ := countDirs(t.Context(), root, nil, nil, 50); n <= 50 {
		t.Errorf("%d past the limit", n)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, all := countDirs(ended, root, nil, nil, 1000); all {
		t.Error("counted although there was no time")
	}
	if n, all := countDirs(t.Context(), root+"/none", nil, nil, 10); n != 1 || !all {
		t.Errorf("missing: %d, %t", n, all)
	}
	if why := large(t.Context(), sdk.WatchRequest{Root: root}); why != "" {
		t.Errorf("large: %s", why)
	}
}
