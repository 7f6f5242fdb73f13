package plan

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/filewatch/filewatch/core/internal/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden reads each archive of testdata as a directory with a configuration, and compares what
// is said about it with its last file, "want". The lines before the files set the scene:
//
//	config PATH      a file or directory to load; the directory itself if there is no such line
//	var NAME=VALUE   -var
//	env NAME=VALUE
//	mkdir PATH
//	link TARGET PATH
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		file, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	last := len(archive.Files) - 1
	if last < 0 || archive.Files[last].Name != "want" {
		t.Fatal(`the last file is not "want"`)
	}
	dir := realDir(t)
	t.Chdir(dir)
	t.Setenv("HOME", filepath.Join(dir, "home"))
	for _, f := range archive.Files[:last] {
		if err := os.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.Name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	paths, vars := scene(t, string(archive.Comment))
	got := strings.ReplaceAll(explain(t, paths, vars), dir, "$DIR")
	if *update {
		archive.Files[last].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(archive.Files[last].Data), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// realDir returns a temporary directory whose path holds no symbolic link.
func realDir(t *testing.T) string {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func scene(t *testing.T, script string) (paths []string, vars map[string]string) {
	vars = map[string]string{}
	for line := range strings.Lines(script) {
		word := strings.Fields(line)
		if len(word) == 0 || word[0] == "#" {
			continue
		}
		var err error
		switch word[0] {
		case "config":
			paths = append(paths, word[1])
		case "var", "env":
			name, value, _ := strings.Cut(word[1], "=")
			if word[0] == "env" {
				t.Setenv(name, value)
			} else {
				vars[name] = value
			}
		case "mkdir":
			err = os.MkdirAll(word[1], 0o755)
		case "link":
			err = os.Symlink(word[1], word[2])
		default:
			err = fmt.Errorf("unknown word in scene: %s", word[0])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if paths == nil {
		paths = []string{"."}
	}
	return paths, vars
}

// explain returns what an operator would read about a configuration.
func explain(t *testing.T, paths []string, vars map[string]string) string {
	cfg, diags := config.Load(paths, vars)
	plan, more := New(t.Context(), cfg, catalog{})
	diags = config.Tidy(append(diags, more...))
	if (plan == nil) != diags.HasErrors() {
		t.Errorf("plan: %v, errors: %v", plan, diags)
	}
	var out bytes.Buffer
	if err := hcl.NewDiagnosticTextWriter(&out, cfg.Files, 0, false).WriteDiagnostics(diags); err != nil {
		t.Fatal(err)
	}
	if plan == nil {
		return out.String()
	}
	if plan.StateDir != "/var/lib/filewatch" { // the default of root
		fmt.Fprintln(&out, "state_dir", plan.StateDir)
	}
	for _, s := range plan.Syncs {
		for _, route := range s.Routes() {
			fmt.Fprintln(&out, route)
		}
		fmt.Fprintf(&out, "  exclude %q max_delete %s settle %s max_delay %s rescan %s\n", s.Exclude, s.MaxDelete, s.Settle, s.MaxDelay, s.Rescan)
		fmt.Fprintf(&out, "  watcher %s %s\n  transport %s %s\n", s.Watcher.Plugin, s.Watcher.Config, s.Transport.Plugin, s.Transport.Config)
	}
	return out.String()
}
