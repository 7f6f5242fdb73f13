package filter

import "testing"

func BenchmarkExcluded(b *testing.B) {
	for _, bench := range []struct {
		name     string
		patterns []string
	}{
		{"usual", []string{"*.swp", ".git/", "/cache/", "*.tmp"}},
		{"wild", []string{"+ */", "/srv/*/log/**", "**/node_modules/", "*.[oa]", "build-*/"}},
	} {
		f := mustParse(b, bench.patterns...)
		for _, path := range []string{"main.go", "srv/www/site/assets/img/logo@2x.png"} {
			b.Run(bench.name+"/"+path, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					f.Excluded(path, false)
				}
			})
		}
	}
}
