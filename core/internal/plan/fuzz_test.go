package plan

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/filewatch/filewatch/core/internal/answer"
	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// FuzzParse: what parse takes, it takes again in the form that operators read.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"h:/x", "u@h:x", "u@d@h:", "[::1]:/x", "[fe80::1%eth0]:~/x", "rsync://u@h:873/m/x", "rsync://[::1]/m",
		"s3://bucket", "file:///x", "x://:80/p", "./a:b", "a/b:c", "::1:/x", "h::m", "-o:/x", "h:/a\nb", "h:-x", "~", "//",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ep, err := parse(s)
		if err != nil {
			return
		}
		if len(ep.Host) > 0 && ep.Host[0] == '-' || len(ep.User) > 0 && ep.User[0] == '-' {
			t.Errorf("%q: ssh would read an option: %+v", s, ep)
		}
		if ep.Scheme == sdk.SchemeSSH && ep.Host == "" {
			t.Errorf("%q: no host: %+v", s, ep)
		}
		again, err := parse(ep.String())
		if err != nil || again != ep {
			t.Errorf("%q: %+v prints as %q, which reads as %+v, %v", s, ep, ep.String(), again, err)
		}
		for _, src := range []source{{"/a/-b", false}, {"/a/:b", false}, {"/a/~", false}, {"/a/b", true}} {
			if ep.Scheme == sdk.SchemeLocal {
				continue // made absolute first
			}
			there, err := effective(ep, src)
			if err != nil {
				continue
			}
			again, err := parse(there.String())
			if err != nil || again != there {
				t.Errorf("%q: the effective %+v prints as %q, which reads as %+v, %v", s, there, there.String(), again, err)
			}
			_ = treeOf(&answer.Paths{}, there)
		}
	})
}

// FuzzSyncs: no pair of sources and destinations makes New panic, and a plan has what it needs.
func FuzzSyncs(f *testing.F) {
	f.Add("/a", "h:/b", "/c/", "/a/d", "x")
	f.Add("~", "rsync://h/m", "..", "h:", "*[")
	f.Fuzz(func(t *testing.T, source1, destination1, source2, destination2, pattern string) {
		value := func(s string) config.Value[string] { return config.Value[string]{V: s, Origin: config.FromSync} }
		one := config.Sync{
			Name: "one", Dir: t.TempDir(), Source: value(source1), Destinations: []config.Value[string]{value(destination1)},
			Watcher:   config.Component{Kind: "watcher", Plugin: "inotify"},
			Transport: config.Component{Kind: "transport", Plugin: "rsync"},
		}
		one.Exclude.V = []config.Value[string]{value(pattern)}
		two := one
		two.Name, two.Source, two.Destinations = "two", value(source2), []config.Value[string]{value(destination2)}
		plan, diags := New(t.Context(), &config.Config{Complete: true, Syncs: []config.Sync{one, two}}, catalog{})
		if (plan == nil) != diags.HasErrors() {
			t.Fatalf("plan %v, diagnostics %v", plan, diags)
		}
		if plan == nil {
			return
		}
		for _, s := range plan.Syncs {
			if len(s.Source) == 0 || s.Source[0] != '/' || len(s.Destinations) != 1 || s.Transport.Config == nil || s.Watcher.Config == nil {
				t.Errorf("%+v", s)
			}
		}
	})
}

// FuzzAnchored: the pattern for one directory is valid and matches it, and not another of the same length.
func FuzzAnchored(f *testing.F) {
	for _, s := range []string{"a", "a/b", "*", `a\b`, `\*`, "[x]", "a\nb", "a?\\", "- x", "!", "**/x", " ", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		dir := filepath.Clean("/" + s)[1:]
		if dir == "" || strings.ContainsRune(dir, 0) || len(dir) > 1000 {
			return
		}
		only, err := filter.Parse([]string{anchored(dir)})
		if err != nil {
			t.Fatalf("%q: %v", dir, err)
		}
		if !only.Match(dir, true) {
			t.Errorf("%q does not match %q", anchored(dir), dir)
		}
		for _, other := range []string{"x" + dir, dir + "x", "x/" + dir} {
			if only.Match(other, true) {
				t.Errorf("%q matches %q", anchored(dir), other)
			}
		}
	})
}
