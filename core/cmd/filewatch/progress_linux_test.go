package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// A transfer that takes a while has a line on the terminal, which is gone at the end.
func TestProgressOnTerminal(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	shell(t, source, "head -c 600000 /dev/urandom >large")
	config := filepath.Join(t.TempDir(), "sync.hcl")
	shell(t, filepath.Dir(config), fmt.Sprintf("cat >sync.hcl <<'E'\nstate_dir = %q\n"+`sync "slow" {
  source      = %q
  destination = %q
  transport "rsync" { bwlimit = "150K" }
}
E`, t.TempDir(), source+"/", destination))
	master, slave := terminal(t)
	resize(t, slave, 200, 50)
	cmd := exec.Command("filewatch", "-config", config, "-once")
	cmd.Stderr = slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	var shown strings.Builder
	for r := bufio.NewReader(master); ; {
		c, _, err := r.ReadRune() // an error once nobody has the other end
		if err != nil {
			break
		}
		shown.WriteRune(c)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	text := strings.ReplaceAll(shown.String(), "\r\n", "\n")
	line := fmt.Sprintf("slow → %s: ", destination)
	if !strings.Contains(text, line) || !strings.Contains(text, "compared everything") {
		t.Fatalf("%q", text)
	}
	if left := terminalOf(text); strings.Contains(left, line) || !strings.Contains(left, "compared everything") {
		t.Errorf("%q\nleaves\n%s", text, left)
	}
}
