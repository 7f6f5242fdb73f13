package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, `"0"`: 0, "1": 1, "100000": 100000, `"64MiB"`: 64 << 20, `"100MB"`: 100e6, `"2 GiB"`: 2 << 30, `"1tib"`: 1 << 40, `"7B"`: 7, `"3KB"`: 3000, `"9223372036854775807"`: 1<<63 - 1,
		`""`: -1, `"MB"`: -1, "-1": -1, "0.5": -1, `"1.5GB"`: -1, `"10 MB x"`: -1, `"1Mi"`: -1, `"1K"`: -1, `"9223372036854775808"`: -1, `"16777216TiB"`: -1, "true": -1, `"+1"`: -1,
	} {
		file := filepath.Join(t.TempDir(), "sync.hcl")
		if err := os.WriteFile(file, []byte("sync \"s\" {\n  source = \"/a\"\n  destination = \"h:/b\"\n  large_file = "+text+"\n}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		cfg, diags := Load([]string{file}, nil)
		if want < 0 {
			if !diags.HasErrors() || diags[0].Subject == nil || diags[0].Subject.Start.Line != 4 {
				t.Errorf("%s: accepted as %d: %v", text, cfg.Syncs[0].LargeFile.V, diags)
			}
			continue
		}
		if diags.HasErrors() || cfg.Syncs[0].LargeFile.V != uint64(want) {
			t.Errorf("%s: %d, want %d: %v", text, cfg.Syncs[0].LargeFile.V, want, diags)
		}
	}
}

func TestMaxTransfers(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "8": 8, `"8"`: 8, "null": 0, "-1": -1, "1.5": -1, "1000001": -1, `"many"`: -1, "true": -1} {
		file := filepath.Join(t.TempDir(), "sync.hcl")
		if err := os.WriteFile(file, []byte("max_transfers = "+text+"\nsync \"s\" {\n  source = \"/a\"\n  destination = \"h:/b\"\n}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		cfg, diags := Load([]string{file}, nil)
		if diags.HasErrors() != (want < 0) || want >= 0 && cfg.MaxTransfers != want {
			t.Errorf("%s: %d, %v", text, cfg.MaxTransfers, diags)
		}
	}
}
