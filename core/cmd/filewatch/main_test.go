package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
)

func TestMain(m *testing.M) {
	proc.EndAtOnce()
	// The command is a copy of the test binary on PATH, which starts itself again for its plugins.
	testscript.Main(m, map[string]func(){"filewatch": main})
}
