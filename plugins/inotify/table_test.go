package inotify

import (
	"slices"
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

// backends are all that this system has.
var backends = map[string]watchertest.Backend{"default": defaultBackend, "fsnotify": watchFsnotify}

func TestTable(t *testing.T) {
	for name, b := range backends {
		t.Run(name, func(t *testing.T) {
			table := watchertest.Table
			if name == "default" {
				table = append(slices.Clone(table), watchertest.WriteMapped)
			}
			for _, tc := range table {
				t.Run(tc.Name, func(t *testing.T) {
					watchertest.LeakCheck(t)
					a := watchertest.NewArea(t)
					if tc.Setup != nil {
						tc.Setup(a)
					}
					w := watchertest.Start(t, b, a.Root)
					mark := w.Mark()
					tc.Op(a)
					w.Covers(mark, tc.Want...)
					if name == "default" {
						w.Alive(a.Dirs()...)
					}
					watchertest.Must(t, w.End())
				})
			}
		})
	}
}
