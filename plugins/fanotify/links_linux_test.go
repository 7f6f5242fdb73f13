package fanotify

import (
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

func TestLinkRaces(t *testing.T) {
	watchertest.RunLinkRaces(t, func(beforeRead func()) watchertest.Backend {
		tn := quick()
		tn.beforeRead = beforeRead
		return tn.watch
	})
}

func TestLinksOfMany(t *testing.T) { watchertest.RunLinksOfMany(t, quick().watch) }
