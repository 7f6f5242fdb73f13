package fanotify

import (
	"slices"
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

func TestTable(t *testing.T) {
	for _, tc := range append(slices.Clone(watchertest.Table), watchertest.WriteMapped) {
		t.Run(tc.Name, func(t *testing.T) {
			watchertest.LeakCheck(t)
			a := watchertest.NewArea(t)
			if tc.Setup != nil {
				tc.Setup(a)
			}
			w := watchertest.Start(t, quick().watch, a.Root)
			mark := w.Mark()
			tc.Op(a)
			w.Prove()
			w.Covered(mark, tc.Want...)
			w.Alive(a.Dirs()...)
			if slices.ContainsFunc(w.Since(0), watchertest.Whole) {
				t.Error("needless comparison of everything")
			}
			watchertest.Must(t, w.End())
		})
	}
}
