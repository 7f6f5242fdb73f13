package rsync

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

func readFile(p string) string {
	b, err := os.ReadFile(p)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(b)
}

// watch calls look again and again until done is closed, and returns how often.
func watch(done <-chan struct{}, look func()) int {
	for n := 1; ; n++ {
		look()
		select {
		case <-done:
			return n
		default:
		}
	}
}

// What was renamed is at the destination under the old name or the new one at every moment, wherever the
// new one sorts and whether it is reported as paths or as subtrees.
func TestRenamesLeaveNoGap(t *testing.T) {
	t.Parallel()
	for _, mode := range modes[:2] {
		for _, limit := range []uint64{0, 100} {
			for _, tt := range []struct {
				name, from, to, file string // file is below what is renamed
				changes              []sdk.Change
			}{
				{"in a directory", "b", "a", "", paths("a", "b")},
				{"in a directory, back", "b", "c", "", paths("b", "c")},
				{"to another directory", "b/f", "a/f", "", paths("a/f", "b/f")},
				{"to another directory, back", "b/f", "c/f", "", paths("b/f", "c/f")},
				{"out of a subtree", "a/s/f", "z/f", "", append(paths("z/f"), subtrees("a")...)},
				{"into a subtree", "a/f", "z/f", "", append(paths("a/f"), subtrees("z")...)},
				{"found by a comparison", "b/f", "a/f", "", subtrees("")},
				{"found by a comparison, back", "b/f", "c/f", "", subtrees("")},
				{"a directory", "b", "c", "/f", append(paths("b"), subtrees("c")...)},
				{"a directory, back", "b", "a", "/f", append(paths("b"), subtrees("a")...)},
				{"a directory as paths", "b", "c", "/f", paths("b", "b/f", "c", "c/f")},
				{"a directory found by a comparison", "b", "c", "/f", subtrees("")},
			} {
				t.Run(fmt.Sprintf("%s, %s, limit %d", tt.name, mode.name, limit), func(t *testing.T) {
					t.Parallel()
					f := local(t)
					f.req.MaxDelete = limit
					f.force(mode.caps)
					from, to := tt.from+tt.file, tt.to+tt.file
					f.write(f.src, "a/", "b/", "c/", "z/")
					for _, d := range []string{"a", "b", "c", "z"} {
						if d == tt.to || d == tt.from {
							f.must(os.Remove(filepath.Join(f.src, d)))
						}
					}
					f.write(f.src, from)
					f.must(os.WriteFile(filepath.Join(f.src, from), bytes.Repeat([]byte("x"), 1<<20), 0o644))
					f.sync(subtrees("")...)
					f.must(os.Rename(filepath.Join(f.src, tt.from), filepath.Join(f.src, tt.to)))
					f.config().BWLimit = "4M" // a quarter of a second
					done := make(chan struct{})
					go func() {
						defer close(done)
						f.sync(tt.changes...)
					}()
					watch(done, func() {
						// The new name first: it may come between two looks in the other order.
						if !f.exists(to) && !f.exists(from) && !f.exists(to) {
							t.Error("neither name is there")
						}
						time.Sleep(100 * time.Microsecond)
					})
					f.equal(tree.Options{})
				})
			}
		}
	}
}

// A reader at the destination sees complete versions only, also when transfers are killed.
func TestFilesAppearWhole(t *testing.T) {
	t.Parallel()
	f := local(t)
	file := filepath.Join(f.src, "big")
	version := func(b byte) { f.must(os.WriteFile(file, bytes.Repeat([]byte{b}, 2<<20), 0o644)) }
	version('0')
	f.sync(paths("big")...)
	f.config().BWLimit = "10M"
	f.config().Standby = 0 // a run on standby that is killed is repeated
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 8 {
			version('1' + byte(i))
			if i%2 == 1 {
				f.sync(paths("big")...)
				continue
			}
			failed := make(chan error, 1)
			go func() {
				_, err := f.try(paths("big")...)
				failed <- err
			}()
			for _, pid := range f.transferring(f.dst + "/") {
				_ = proc.Kill(pid, syscall.SIGKILL)
			}
			if err := <-failed; err == nil {
				t.Error("killed and confirmed")
			}
			f.sweep()
		}
	}()
	n := watch(done, func() {
		got := readFile(filepath.Join(f.dst, "big"))
		if len(got) != 2<<20 || strings.Trim(got, got[:1]) != "" {
			t.Fatalf("half a file: %d bytes, %.20q", len(got), got)
		}
	})
	t.Logf("%d looks", n)
	f.sync(subtrees("")...)
	f.equal(tree.Options{})
}

// sweep removes what killed transfers left, so that transferring sees the next one.
func (f *fixture) sweep() {
	left, err := filepath.Glob(filepath.Join(f.dst, ".big.*"))
	f.must(err)
	for _, p := range left {
		f.must(os.Remove(p))
	}
}

// What a killed rsync left is removed by the next comparison. Without delete it stays: no more is known of
// such a file than of any other that is only at the destination.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	for _, limit := range []uint64{0, 10} {
		f := local(t)
		f.req.MaxDelete = limit
		f.write(f.src, "a", "d/b")
		f.sync(subtrees("")...)
		f.write(f.dst, ".a.Xo9WqZ", "d/.b.abc123")
		f.req.Delete = false
		f.sync(subtrees("")...)
		if !f.exists(".a.Xo9WqZ") || !f.exists("d/.b.abc123") {
			t.Error("removed although delete is off")
		}
		f.req.Delete = true
		f.sync(subtrees("")...)
		f.equal(tree.Options{})
	}
}
