package inotify

import (
	"testing"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
)

func TestRenames(t *testing.T) { watchertest.Renames(t, defaultBackend) }
