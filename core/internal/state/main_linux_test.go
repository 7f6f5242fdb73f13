package state

import (
	"os"
	"testing"

	"github.com/filewatch/filewatch/sdk/plugintest/isolate"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(saverDir); dir != "" {
		saveForever(dir)
	}
	os.Exit(isolate.Main(m))
}
