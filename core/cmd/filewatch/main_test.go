package main

import (
	"flag"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
)

func TestMain(m *testing.M) {
	proc.EndAtOnce()
	// Most tests wait for processes most of the time.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	// The command is a copy of the test binary on PATH, which starts itself again for its plugins.
	testscript.Main(m, map[string]func(){"filewatch": main})
}
