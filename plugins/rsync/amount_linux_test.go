package rsync

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
)

// build takes changes apart.
func (s *session) build(changes []sdk.Change) work {
	b := builder{filter: s.filter, delete: s.req.Delete, lstat: s.lstat}
	return b.build(changes)
}

// The amount of a list is that of its files; of what is compared it is not known beforehand.
func TestAmount(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "dir/", "empty")
	content(t, filepath.Join(f.src, "a"), 1000, 1)
	f.must(os.Truncate(filepath.Join(f.src, "empty"), 0))
	f.must(os.Symlink("a", filepath.Join(f.src, "link")))
	s, err := f.tr.open(f.req, nil)
	f.must(err)
	for _, tt := range []struct {
		name string
		w    work
		want uint64
	}{
		{"list", s.build(paths("dir", "a", "empty", "link", "gone", "a/below")), 1000 + 3*entryAmount},
		{"only what is gone", s.build(paths("gone")), 0},
		{"subtree", s.build(append(paths("a"), subtrees("dir")...)), 0},
		{"everything", s.build(subtrees("")), 0},
	} {
		if got := tt.w.amount(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// A walk counts what is sent, and stops when it is told to.
func TestWalk(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "cache/x", "d/x.tmp", "d/\xff\n/deep/")
	content(t, filepath.Join(f.src, "d/file"), 500, 1)
	content(t, filepath.Join(f.src, "d/large"), 2000, 1)
	f.must(os.Symlink("d", filepath.Join(f.src, "link")))
	f.req.Exclude, f.req.MaxSize = []string{"/cache/", "*.tmp"}, 1000
	s, err := f.tr.open(f.req, nil)
	f.must(err)
	s.caps = allCaps
	walk := func(ctx context.Context, deep bool, most int) (n int, size uint64) {
		s.walk(ctx, "", deep, func(_ string, add uint64) bool { n++; size += add; return n < most })
		return n, size
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		deep bool
		most int
		n    int
		size uint64
	}{
		{"all", t.Context(), true, 100, 5, 500}, // d, d/\xff\n, deep, file, link
		{"top", t.Context(), false, 100, 2, 0},
		{"until told", t.Context(), false, 1, 1, 0},
		{"ended", ended, true, 100, 0, 0},
	} {
		if n, size := walk(tt.ctx, tt.deep, tt.most); n != tt.n || size != tt.size {
			t.Errorf("%s: %d entries, %d bytes, want %d and %d", tt.name, n, size, tt.n, tt.size)
		}
	}
}

// A first comparison that takes long tells how much is done; one with a destination that has something does not.
func TestProgressOfAFirstSync(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		first bool
		set   func(*fixture)
	}{
		{"nothing there", true, func(*fixture) {}},
		{"no directory there", true, func(f *fixture) { f.must(os.Remove(f.dst)) }},
		{"large files left out", true, func(f *fixture) { f.req.MaxSize = 2_000_000 }},
		{"something there that is gone", true, func(f *fixture) { f.write(f.dst, "gone/x") }},
		{"resumed", false, func(f *fixture) { f.write(f.dst, "d0/x") }},
		{"the last directory is there", false, func(f *fixture) { f.write(f.dst, "d3/") }},
		{"contents are compared", false, func(f *fixture) { f.config().Checksum = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, _ := remote(t, sshd.Config{})
			f.tr.measureAfter = 50 * time.Millisecond
			f.config().BWLimit = "500K" // some seven seconds
			f.req.Exclude = []string{"*.tmp"}
			for i := range 4 {
				content(t, filepath.Join(f.src, fmt.Sprintf("d%d/sub/file", i)), 800_000, uint64(i))
				f.write(f.src, fmt.Sprintf("d%d/x", i))
			}
			content(t, filepath.Join(f.src, "top"), 300_000, 9)
			tt.set(f)
			if f.req.MaxSize > 0 {
				content(t, filepath.Join(f.src, "d1/large"), 2_500_000, 10)
			}
			var told, portions int
			var last float64
			all := f.follow(subtrees("")...)
			for _, p := range all.told {
				told++
				if p.Portion > 0 && p.Portion < 1 {
					portions++
				}
				last = p.Portion
			}
			if tt.first != (portions > 0) || tt.first && last != 1 {
				t.Errorf("%d of %d times a portion, %v at last", portions, told, last)
			}
		})
	}
}
