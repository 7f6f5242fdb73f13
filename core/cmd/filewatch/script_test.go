package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs the stories of users in testdata/script, one a file.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, ownDirs(t)...)
			env.Setenv("STATE_DIRECTORY", filepath.Join(env.WorkDir, ".state"))
			return nil
		},
	})
}
