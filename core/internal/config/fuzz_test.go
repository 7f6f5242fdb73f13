package config

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad: no file makes Load panic, nor report an error without saying that it did.
func FuzzLoad(f *testing.F) {
	f.Add([]byte("sync \"a\" {\n  source = \"/a\"\n  destination = [\"h:/b\", null]\n  transport \"rsync\" { x = var.y }\n}\n"))
	f.Add([]byte("locals {\n  a = local.b\n  b = local[\"a\"]\n}\nvariable \"x\" { default = [1] }\ndefaults { settle = \"1s\" }\n"))
	f.Add([]byte("locals { a = { for k, v in var : k => local[k] } }\nsync \"s\" { source = try(var.x, local.*) }\n"))
	f.Add([]byte("plugin \"p\" { sha256 = upper(null) }\nlog_level = \"\\uD800\"\nsync {}\n\xff"))
	f.Add([]byte("\xef\xbb\xbflog_level = <<-EOT\n  ${env(\"X\", 1)}\n  EOT\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		name := filepath.Join(t.TempDir(), "sync.hcl")
		if err := os.WriteFile(name, src, 0o644); err != nil {
			t.Fatal(err)
		}
		cfg, diags := Load([]string{name}, map[string]string{"x": "[1, 2]"})
		if cfg == nil || cfg.Complete == diags.HasErrors() {
			t.Fatalf("%+v with %v", cfg, diags)
		}
		for _, d := range diags {
			if d.Summary == "" || d.Detail == "" {
				t.Errorf("says nothing: %+v", d)
			}
		}
		for _, s := range cfg.Syncs {
			if cfg.Complete && (s.Source.Origin == Unset || len(s.Destinations) == 0 || s.MaxDelay.V < s.Settle.V) {
				t.Errorf("complete, but %+v", s)
			}
		}
	})
}
