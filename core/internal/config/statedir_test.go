package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStateDir(t *testing.T) {
	for _, test := range []struct{ written, want string }{
		{`state_dir = "/srv/state/"`, "/srv/state"},
		{`state_dir = "state/../s"`, "conf/s"},
		{`state_dir = "~/state"`, "home/state"},
	} {
		write(t, "conf/sync.hcl", test.written+"\n"+syncNamed("a"))
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("HOME", filepath.Join(dir, "home"))
		want := test.want
		if !filepath.IsAbs(want) {
			want = filepath.Join(dir, want)
		}
		cfg, diags := Load([]string{"conf"}, nil)
		if diags.HasErrors() || cfg.StateDir != want {
			t.Errorf("%s: %q, want %q; %v", test.written, cfg.StateDir, want, diags)
		}
	}
}

func TestDefaultStateDir(t *testing.T) {
	for _, test := range []struct {
		name               string
		uid                int
		systemd, xdg, home string
		want               string // "" = an error
	}{
		{"root", 0, "", "/xdg", "/root", "/var/lib/filewatch"},
		{"systemd", 0, "/var/lib/a/:/var/lib/b", "/xdg", "/root", "/var/lib/a"},
		{"xdg", 7, "", "/xdg", "/home/u", "/xdg/filewatch"},
		{"relative", 7, "", "xdg", "/home/u", "/home/u/.local/state/filewatch"},
		{"home", 7, "", "", "/home/u", "/home/u/.local/state/filewatch"},
		{"nothing", 7, "", "", "", ""},
	} {
		env := map[string]string{"STATE_DIRECTORY": test.systemd, "XDG_STATE_HOME": test.xdg, "HOME": test.home}
		got, err := defaultStateDir(test.uid, func(name string) string { return env[name] })
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s: %q, %v, want %q", test.name, got, err, test.want)
		}
	}
	write(t, "sync.hcl", "state_dir = null\n"+syncNamed("a"))
	want, err := defaultStateDir(os.Geteuid(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if cfg, diags := Load([]string{"sync.hcl"}, nil); diags.HasErrors() || cfg.StateDir != want {
		t.Errorf("null: %q, want %q; %v", cfg.StateDir, want, diags)
	}
}

// Whatever is wrong with state_dir, the usual directory, where another daemon may be at home, is not taken instead.
func TestStateDirIsWrong(t *testing.T) {
	for _, written := range []string{
		`state_dir = ["a"]`,
		`state_dir = {}`,
		`state_dir = var.missing`,
		`state_dir = "${local.dir}/x"`,
		`state_dir = env("FILEWATCH_NOT_SET_AT_ALL")`,
		`state_dir = file("missing")`,
		`state_dir = ""`,
		`state_dir = "a\u0000b"`,
		"variable \"dir\" {}\nstate_dir = var.dir",
		"locals { dir = nonsense }\nstate_dir = local.dir",
		"state_dir = ",
		`state_dir = "unclosed`,
	} {
		write(t, "sync.hcl", written+"\n"+syncNamed("a"))
		cfg, diags := Load([]string{"sync.hcl"}, nil)
		if !diags.HasErrors() || cfg.Complete || cfg.StateDir != "" {
			t.Errorf("%s: %q, complete %v; %v", written, cfg.StateDir, cfg.Complete, diags)
		}
	}
}
