package state

import (
	"os"
	"testing"

	"github.com/filewatch/filewatch/core/internal/guard/mountns"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(saverDir); dir != "" {
		saveForever(dir)
	}
	os.Exit(mountns.Run(m))
}
