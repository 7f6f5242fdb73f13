package guard

import (
	"os"
	"path/filepath"
	"testing"
)

func BenchmarkCheck(b *testing.B) {
	root := b.TempDir()
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		b.Fatal(err)
	}
	g := Open(Config{Root: root, Delete: true})
	for b.Loop() {
		if err := g.Check(); err != nil {
			b.Fatal(err)
		}
	}
}
