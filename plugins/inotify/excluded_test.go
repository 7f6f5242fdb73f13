package inotify

import (
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

func TestExcluded(t *testing.T) {
	for name, b := range backends {
		t.Run(name, func(t *testing.T) { watchertest.Excluded(t, b) })
	}
}
