package plan

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/sdk"
)

// load plans one configuration in the working directory.
func load(t *testing.T, text string) (*Plan, hcl.Diagnostics) {
	t.Helper()
	if err := os.WriteFile("sync.hcl", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, diags := config.Load([]string{"sync.hcl"}, nil)
	plan, more := New(t.Context(), cfg, catalog{})
	return plan, append(diags, more...)
}

func syncOf(source, destination string) string {
	return "sync \"s\" {\n  source = " + source + "\n  destination = " + destination + "\n}\n"
}

func mkdir(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	composed   = "Caf\u00e9"  // as every string in HCL is
	decomposed = "Cafe\u0301" // as some systems write names
)

func TestNameInAnotherForm(t *testing.T) {
	dir := realDir(t)
	t.Chdir(dir)
	mkdir(t, decomposed+"/"+decomposed)
	for _, written := range []string{composed, decomposed} {
		plan, diags := load(t, syncOf(`"`+written+"/"+written+`"`, `["h:/x", "`+written+`/copy"]`))
		if len(diags) != 0 {
			t.Fatalf("%+q: %v", written, diags)
		}
		s := plan.Syncs[0]
		if want := filepath.Join(dir, decomposed, decomposed); s.Source != want {
			t.Errorf("source %+q, want %+q", s.Source, want)
		}
		if want := "/x/" + decomposed; s.Destinations[0].Path != want {
			t.Errorf("remote %+q, want %+q: rsync keeps the bytes", s.Destinations[0].Path, want)
		}
		if want := filepath.Join(dir, decomposed, "copy", decomposed); s.Destinations[1].Path != want {
			t.Errorf("local %+q, want %+q", s.Destinations[1].Path, want)
		}
	}
}

func TestNameInTwoForms(t *testing.T) {
	t.Chdir(realDir(t))
	mkdir(t, decomposed, composed)
	plan, diags := load(t, syncOf(`"`+composed+`"`, `"h:/x"`))
	if plan != nil || len(diags) != 1 || !strings.Contains(diags[0].Detail, "differ only in the form of their letters") {
		t.Errorf("diagnostics: %v", diags)
	}
	// The remedy that the text names.
	if err := os.Symlink(decomposed, "plain"); err != nil {
		t.Fatal(err)
	}
	if _, diags := load(t, syncOf(`"plain"`, `"h:/x"`)); len(diags) != 0 {
		t.Errorf("diagnostics: %v", diags)
	}
}

// A relative path starts from the directory of the file, whose name HCL does not touch.
func TestConfigurationInOddDirectory(t *testing.T) {
	dir := filepath.Join(realDir(t), "odd\xff\n"+decomposed)
	mkdir(t, filepath.Join(dir, "src"))
	t.Chdir(dir)
	plan, diags := load(t, syncOf(`"src"`, `"h:/x"`))
	if len(diags) != 0 {
		t.Fatal(diags)
	}
	if want := filepath.Join(dir, "src"); plan.Syncs[0].Source != want {
		t.Errorf("source %q, want %q", plan.Syncs[0].Source, want)
	}
}

func TestOddSourceNames(t *testing.T) {
	dir := realDir(t)
	t.Chdir(dir)
	for _, test := range []struct {
		name   string
		remote string // in the destination "h:"
	}{
		{"-rf", "./-rf"}, // an option
		{"~root", "./~root"},
		{":m", "./:m"}, // host::m is a module
		{" spaces ", " spaces "},
		{"*[a]?", "*[a]?"},
		{`quo"te\`, `quo"te\`},
		{"#x", "#x"},
		{"tab\t", "tab\t"},
		{strings.Repeat("n", 255), strings.Repeat("n", 255)},
	} {
		mkdir(t, test.name)
		// As HCL writes it; "./" because "~root" is a home directory.
		written := `"./` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`).Replace(test.name) + `"`
		plan, diags := load(t, syncOf(written, `"h:"`))
		if len(diags) != 0 {
			t.Errorf("%q: %v", test.name, diags)
			continue
		}
		s := plan.Syncs[0]
		if want := filepath.Join(dir, test.name); s.Source != want {
			t.Errorf("source %q, want %q", s.Source, want)
		}
		if s.Destinations[0].Path != test.remote {
			t.Errorf("remote %q, want %q", s.Destinations[0].Path, test.remote)
		}
		if again, err := parse(s.Destinations[0].String()); err != nil || again != s.Destinations[0] {
			t.Errorf("%q reads back as %+v, %v", s.Destinations[0].String(), again, err)
		}
	}

	mkdir(t, "line\nbreak")
	if _, diags := load(t, syncOf(`"line\nbreak/"`, `["copy", "h:/x"]`)); len(diags) != 0 {
		t.Errorf("a line break in a local path: %v", diags)
	}
	if _, diags := load(t, syncOf(`"line\nbreak"`, `"h:/x"`)); len(diags) != 1 || !strings.Contains(diags[0].Detail, "line break") {
		t.Errorf("a line break in a remote path: %v", diags)
	}
}

func TestEffective(t *testing.T) {
	t.Chdir(realDir(t))
	mkdir(t, "src")
	for _, test := range []struct{ source, destination, want string }{
		{"/", "h:/copy", "h:/copy"},
		{"//", "h:/copy", "h:/copy"},
		{"/.", "h:/copy", "h:/copy"},
		{"src", "h:/", "h:/src"},
		{"src/", "h:/", "h:/"},
		{"src", "h:/a//", "h:/a/src"},
		{"src/.", "h:a/", "h:a"},
		{"src", "h:", "h:src"},
		{"src", "h:~", "h:~/src"},
		{"src/", "h:~/", "h:~"},
		{"src/", "h:./", "h:."},
		{"src/", "h:-x", "h:./-x"},
		{"src//", "rsync://h/m/", "rsync://h/m"},
		{"src", "rsync://h/m/a", "rsync://h/m/a/src"},
		{"src/", "RSYNC://u@[::1]:874/m", "rsync://u@[::1]:874/m"},
		{"src", "[::1]:/x", "[::1]:/x/src"},
		{"src", "a@b@h:/x", "a@b@h:/x/src"},
	} {
		plan, diags := load(t, syncOf(`"`+test.source+`"`, `"`+test.destination+`"`))
		if diags.HasErrors() {
			t.Errorf("%s → %s: %v", test.source, test.destination, diags)
			continue
		}
		if got := plan.Syncs[0].Destinations[0].String(); got != test.want {
			t.Errorf("%s → %s: %s, want %s", test.source, test.destination, got, test.want)
		}
	}
}

func TestSourceThroughSymlink(t *testing.T) {
	dir := realDir(t)
	t.Chdir(dir)
	mkdir(t, "v1", "other")
	if err := os.Symlink("v1", "current"); err != nil {
		t.Fatal(err)
	}
	plan, diags := load(t, syncOf(`"current"`, `"h:/x"`))
	if len(diags) != 0 {
		t.Fatal(diags)
	}
	// The link may lead elsewhere tomorrow.
	if s := plan.Syncs[0]; s.Source != filepath.Join(dir, "current") || s.Destinations[0].Path != "/x/current" {
		t.Errorf("%+v", s)
	}
	if _, diags := load(t, syncOf(`"current/"`, `"v1/copy"`)); !diags.HasErrors() {
		t.Error("a destination inside the source was not seen through the link")
	}
}

// A reload compares plans to find what changed.
func TestPlansCompare(t *testing.T) {
	t.Chdir(realDir(t))
	mkdir(t, "src")
	text := syncOf(`"src"`, `["h:/x", "copy"]`) + "defaults {\n  transport \"rsync\" {\n    ssh { options = { b = 1, a = 2 } }\n  }\n}\n"
	one, _ := load(t, text)
	two, _ := load(t, strings.Replace(text, "b = 1, a = 2", "a = 2, b = 1", 1))
	if one == nil || !reflect.DeepEqual(one, two) {
		t.Errorf("plans of equal configurations differ: %s", cmp.Diff(one, two))
	}
	three, _ := load(t, strings.Replace(text, "b = 1", "b = 3", 1))
	if three == nil || reflect.DeepEqual(one.Syncs[0], three.Syncs[0]) {
		t.Error("a change of the transport's configuration does not show")
	}
}

// Without Complete, what Load could not read would silently be missing from the plan.
func TestNoPlanOfHalfAConfiguration(t *testing.T) {
	t.Chdir(realDir(t))
	mkdir(t, "src")
	if err := os.WriteFile("sync.hcl", []byte(syncOf(`"src"`, `"h:/x"`)+"nonsense {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, _ := config.Load([]string{"sync.hcl"}, nil)
	if plan, diags := New(t.Context(), cfg, catalog{}); plan != nil || diags.HasErrors() {
		t.Errorf("plan %v, diagnostics %v", plan, diags)
	}
}

// counting counts what a plan asks of the catalog.
type counting struct {
	catalog
	described map[string]int
	validated []sdk.ValidateRequest
}

func (c *counting) Describe(ctx context.Context, name string) (sdk.Description, error) {
	c.described[name]++
	return c.catalog.Describe(ctx, name)
}

func (c *counting) Validate(ctx context.Context, name string, kind sdk.Kind, req sdk.ValidateRequest) (sdk.Diagnostics, error) {
	if kind == sdk.KindTransport {
		c.validated = append(c.validated, req)
	}
	return c.catalog.Validate(ctx, name, kind, req)
}

func TestPluginsAreAskedOnce(t *testing.T) {
	dir := realDir(t)
	t.Chdir(dir)
	mkdir(t, "src")
	text := syncOf(`"src/"`, `["h:/x", "w:/x"]`) + strings.Replace(syncOf(`"src/"`, `"h:/y"`), `"s"`, `"t"`, 1) + "defaults {\n  exclude = [\"a\"]\n  watcher \"inotify\" {}\n}\n"
	if err := os.WriteFile("sync.hcl", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, diags := config.Load([]string{"sync.hcl"}, nil)
	c := &counting{described: map[string]int{}}
	_, more := New(t.Context(), cfg, c)
	if len(diags)+len(more) > 0 {
		t.Fatal(diags, more)
	}
	if want := map[string]int{"inotify": 1, "rsync": 1}; !cmp.Equal(c.described, want) {
		t.Errorf("described %v", c.described)
	}
	if len(c.validated) != 3 {
		t.Fatalf("validated %d times, want once for each destination", len(c.validated))
	}
	first := c.validated[0]
	if first.Sync != "s" || first.Source != filepath.Join(dir, "src") || first.Destination.Host != "h" || !cmp.Equal(first.Exclude, []string{"a"}) {
		t.Errorf("request %+v", first)
	}
}

func TestRoutesArePrintable(t *testing.T) {
	s := Sync{Name: "s", Source: "/a\n\x1b[31m", Destinations: []sdk.Endpoint{{Path: "/b \xff"}}}
	want := []string{`s: "/a\n\x1b[31m" → "/b \xff" (contents, keep what is gone)`}
	if got := s.Routes(); !cmp.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
