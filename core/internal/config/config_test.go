package config

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write puts files (name, content, …) into a new working directory.
func write(t *testing.T, files ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for i := 0; i < len(files); i += 2 {
		if err := os.MkdirAll(filepath.Dir(files[i]), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files[i], []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const minimal = "sync \"%\" {\n  source = \"/%\"\n  destination = \"h:/%\"\n}\n"

func syncNamed(name string) string { return strings.ReplaceAll(minimal, "%", name) }

func names(cfg *Config) (out []string) {
	for _, s := range cfg.Syncs {
		out = append(out, s.Name)
	}
	return out
}

func TestFilesAndDirectories(t *testing.T) {
	write(t,
		"d/b.hcl", syncNamed("b"),
		"d/a.hcl", syncNamed("a"),
		"d/.#a.hcl", "an editor's lock",
		"d/a.hcl~", "a backup",
		"d/sub/c.hcl", syncNamed("c"),
		"plain.conf", syncNamed("plain"),
	)
	if err := os.Symlink("../plain.conf", "d/link.hcl"); err != nil {
		t.Fatal(err)
	}
	cfg, diags := Load([]string{"plain.conf", "d", "./d/a.hcl"}, nil)
	if !strings.Contains(diags.Error(), `"plain" is already at plain.conf:1`) {
		t.Errorf("the linked file was not read: %v", diags)
	}
	if want := []string{"plain", "a", "b", "plain"}; !cmp.Equal(names(cfg), want) {
		t.Errorf("syncs %v, want %v", names(cfg), want)
	}
	if err := os.Symlink("nowhere", "d/z.hcl"); err != nil {
		t.Fatal(err)
	}
	if _, diags := Load([]string{"d"}, nil); !strings.Contains(diags.Error(), "d/z.hcl") {
		t.Errorf("a dangling link went unnoticed: %v", diags)
	}
	if _, diags := Load(nil, nil); !diags.HasErrors() {
		t.Error("nothing to load is no error")
	}
}

func TestInvalidUTF8(t *testing.T) {
	write(t, "sync.hcl", "# comment\nsync \"a\" {\n  source = \"/srv/caf\xe9\"\n}\n")
	cfg, diags := Load([]string{"sync.hcl"}, nil)
	if cfg.Complete || len(diags) != 1 || diags[0].Summary != "Invalid UTF-8" {
		t.Fatalf("diagnostics: %v", diags)
	}
	if got := diags[0].Subject.String(); got != "sync.hcl:3,21-21" {
		t.Errorf("points at %s", got)
	}
	if !strings.Contains(diags[0].Detail, "symbolic link") {
		t.Errorf("no remedy: %s", diags[0].Detail)
	}
}

func TestEnvNotUTF8(t *testing.T) {
	write(t, "sync.hcl", "variable \"v\" {}\nsync \"a\" {\n  source = env(\"FILEWATCH_TEST\")\n  destination = \"h:/x\"\n  user = var.v\n}\n")
	t.Setenv("FILEWATCH_TEST", "/srv/caf\xe9")
	t.Setenv("FILEWATCH_VAR_v", "\xe9")
	_, diags := Load([]string{"sync.hcl"}, nil)
	if len(diags.Errs()) != 2 || strings.Count(diags[0].Error()+diags[1].Error(), "not valid UTF-8") != 2 {
		t.Errorf("diagnostics: %v", diags)
	}
}

func TestVariables(t *testing.T) {
	const in = `
variable "text" { default = "d" }
variable "bare" {}
variable "count" { default = 1 }
variable "yes" { default = false }
variable "list" { default = [] }
variable "object" { default = { a = 1 } }
variable "set" { default = toset(["a"]) }
variable "null" { default = null }
`
	values := "[var.text, var.bare, var.count, var.yes, join(\",\", var.list), lookup(var.object, \"b\", \"\"), join(\",\", var.set), var.null]"
	write(t, "sync.hcl", in+"sync \"a\" {\n  source = \"/a\"\n  destination = \"h:/x\"\n  exclude = "+values+"\n}\n")
	t.Setenv("FILEWATCH_VAR_text", "from the environment")
	t.Setenv("FILEWATCH_VAR_bare", "loses")
	t.Setenv("FILEWATCH_VAR_list", `["x", "y"]`)
	t.Setenv("FILEWATCH_VAR_undeclared", "may be for somebody else")
	cfg, diags := Load([]string{"sync.hcl"}, map[string]string{
		"bare": "007", "count": "22", "yes": "true", "object": `{ b = "c" }`, "set": `["b", "b"]`, "null": "[",
	})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var got []string
	for _, v := range cfg.Syncs[0].Exclude.V {
		got = append(got, v.V)
	}
	want := []string{"from the environment", "007", "22", "true", "x,y", "c", "b", "["}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDefaultsShineThrough(t *testing.T) {
	write(t, "sync.hcl", `
defaults {
  user    = "root"
  exclude = ["a"]
  delete  = false
  watcher "poll" {}
  transport "rsync" {}
}
sync "own" {
  source      = "/own"
  destination = "h:/own"
  user        = "bob"
  exclude     = []
  delete      = null
  watcher "inotify" {}
  transport "rsync" {}
}
sync "none" {
  source      = "/none"
  destination = "h:/none"
}
`)
	cfg, diags := Load([]string{"sync.hcl"}, nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	type seen struct {
		User               string
		Exclude            int
		Delete             bool
		From               [3]Origin
		Watcher, Transport string
		Layers             [2]int
		At                 [2]int
	}
	var got []seen
	for _, s := range cfg.Syncs {
		got = append(got, seen{
			s.User.V, len(s.Exclude.V), s.Delete.V, [3]Origin{s.User.Origin, s.Exclude.Origin, s.Delete.Origin},
			s.Watcher.Plugin, s.Transport.Plugin, [2]int{len(s.Watcher.Layers), len(s.Transport.Layers)},
			[2]int{s.Watcher.Range.Start.Line, s.Transport.Range.Start.Line},
		})
	}
	want := []seen{
		{"bob", 0, false, [3]Origin{FromSync, FromSync, FromDefaults}, "inotify", "rsync", [2]int{1, 2}, [2]int{15, 16}},
		{"root", 1, false, [3]Origin{FromDefaults, FromDefaults, FromDefaults}, "poll", "rsync", [2]int{1, 1}, [2]int{6, 7}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNearest(t *testing.T) {
	names := map[string]bool{"alpha": true, "beta": true, "betta": true}
	for given, want := range map[string]string{"beta2": "beta", "bettb": "betta", "gamma": "", "aplha": "alpha"} {
		got := nearest(given, maps.Keys(names))
		if want != "" {
			want = ` Did you mean "` + want + `"?`
		}
		if got != want {
			t.Errorf("%s: %q, want %q", given, got, want)
		}
	}
}

// Sum is the same as long as Load would read the same.
func TestSum(t *testing.T) {
	t.Chdir(t.TempDir())
	paths := []string{"conf", "other"}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(name, text string) { t.Helper(); do(os.WriteFile(name, []byte(text), 0o644)) }
	do(os.Mkdir("conf", 0o755))
	put("conf/a.hcl", "a")
	before := Sum(paths)
	put("conf/unrelated", "x")
	put("conf/a.hcl", "a")
	if Sum(paths) != before {
		t.Error("it differs although nothing is to be read that was not")
	}
	for i, change := range []func(){
		func() { put("conf/a.hcl", "b") },
		func() { put("conf/b.hcl", "") },
		func() { put("other", "") },
		func() { do(os.Rename("conf/b.hcl", "conf/c.hcl")) },
		func() { do(os.Remove("other")) },
	} {
		change()
		now := Sum(paths)
		if now == before {
			t.Errorf("change %d makes no difference", i)
		}
		before = now
	}
}
