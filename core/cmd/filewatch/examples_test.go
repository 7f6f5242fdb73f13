package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Every example is a valid configuration in the usual layout.
func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../examples/*/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		for _, args := range [][]string{{"validate", "-config", file}, {"fmt", "-check", file}} {
			if out, err := exec.Command("filewatch", args...).CombinedOutput(); err != nil {
				t.Errorf("filewatch %v: %v\n%s", args, err, out)
			}
		}
	}
}
