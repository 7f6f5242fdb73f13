package rsync

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
	"github.com/filewatch/filewatch/sdk/run"
)

// Of all that a process has open, the file that it reads counts, even if it is gone.
func TestPosition(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "pos: 7\nflags: 01")
	content(t, name, 500_000, 1)
	var out buffer
	stdin, end := io.Pipe()
	p, err := run.Start(t.Context(), run.Command{
		Path:  "sh",
		Args:  []string{"-c", `cd "$1" && exec 4<. 5<"$2" 6>>"$2" 7</dev/zero; rm "$2"; dd bs=1000 count=123 status=none <&5; dd bs=1000 count=200 status=none <&7; echo ready >&2; read line`, "sh", dir, name},
		Stdin: stdin, Stdout: io.Discard, Stderr: &out,
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file is read", func() bool { return out.String() == "ready\n" })
	if at := positionOf(p.PID(), []string{t.TempDir(), dir}); !at.open || at.read != 123_000 || at.wrote < 123_006 {
		t.Errorf("%+v", at)
	}
	fmt.Fprintln(end)
	p.Wait()
	if at := positionOf(p.PID(), []string{t.TempDir(), dir}); at != (position{}) {
		t.Errorf("of a process that has ended: %+v", at)
	}
}

// content makes a file that cannot be compressed.
func content(t testing.TB, name string, size int, seed uint64) {
	t.Helper()
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// followed is what was told of a request.
type followed struct {
	told   []sdk.Progress
	result sdk.Result
}

// follow syncs and wants progress that never goes back, and that is never far from what is told at the end.
func (f *fixture) follow(changes ...sdk.Change) followed {
	f.t.Helper()
	var all followed
	var last sdk.Progress
	req := f.req
	req.Changes = changes
	res, err := f.tr.Sync(f.t.Context(), req, func(p sdk.Progress) {
		if p.Files < last.Files || p.Bytes < last.Bytes || p.Portion < last.Portion || p.Portion > 1 {
			f.t.Errorf("%+v after %+v", p, last)
		}
		last = p
		all.told = append(all.told, p)
	})
	if err != nil || len(res.Failed) > 0 {
		f.t.Fatal(describe(res, err))
	}
	all.result = res
	if last.Bytes > res.Bytes+64<<10 {
		f.t.Errorf("%d bytes at last, %d in the result", last.Bytes, res.Bytes)
	}
	if len(res.Large) == 0 {
		f.equal(tree.Options{})
	}
	return all
}

// between counts how often was told what lies between two numbers of bytes, and of these how often a portion.
func (a followed) between(from, to uint64) (bytes, portions int) {
	for _, p := range a.told {
		if p.Bytes > from && p.Bytes < to {
			bytes++
			if p.Portion > 0 && p.Portion < 1 {
				portions++
			}
		}
	}
	return bytes, portions
}

// A file that takes a while shows how far it is, whatever the way to the destination is.
func TestProgressWithinAFile(t *testing.T) {
	t.Parallel()
	const size = 6_000_000
	ssh := func(t *testing.T) *fixture { f, _ := remote(t, sshd.Config{}); return f }
	for _, tt := range []struct {
		name    string
		fixture func(*testing.T) *fixture
		set     func(*fixture)
	}{
		{"local", func(t *testing.T) *fixture { return local(t) }, nil},
		{"ssh", ssh, nil},
		{"beside", ssh, func(f *fixture) { f.req.Beside, f.req.MaxDelete = true, 1 }},
		{"through a link", ssh, func(f *fixture) {
			f.req.Source = f.src + " link\n"
			f.must(os.Symlink(f.src, f.req.Source))
		}},
		{"compressed", ssh, func(f *fixture) { f.config().Compress = true }},
		{"daemon", func(t *testing.T) *fixture { return daemon(t, "") }, nil},
		{"on standby", ssh, func(f *fixture) {
			f.write(f.src, "other")
			f.sync(paths("other")...)
			f.tr.mu.Lock()
			defer f.tr.mu.Unlock()
			if len(f.tr.standbys) != 1 {
				f.t.Fatal("none")
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := tt.fixture(t)
			f.config().BWLimit = "1.5M" // some four seconds
			if tt.set != nil {
				tt.set(f)
			}
			const name = "big \n0|1|2|x"
			content(t, filepath.Join(f.src, name), size, 1)
			all := f.follow(paths(name)...)
			if bytes, portions := all.between(100_000, size-100_000); bytes == 0 || portions != bytes {
				t.Errorf("%d times bytes, %d times a portion: %+v", bytes, portions, all.told)
			}
			if last := all.told[len(all.told)-1]; last.Portion != 1 || last.Bytes != all.result.Bytes || last.Bytes < size {
				t.Errorf("at last: %+v, result %+v", last, all.result)
			}
		})
	}
}

// What the far end has is not sent, and does not count as if it was.
func TestProgressOfDifferences(t *testing.T) {
	t.Parallel()
	const size, new = 6_000_000, 900_000
	f, _ := remote(t, sshd.Config{})
	f.config().BWLimit = "300K"
	content(t, filepath.Join(f.src, "big"), size, 1)
	content(t, filepath.Join(f.dst, "big"), size-new, 1)
	all := f.follow(paths("big")...)
	if all.result.Bytes > 3*new/2 {
		t.Errorf("all of it was sent: %+v", all.result)
	}
	if bytes, portions := all.between(10_000, new); bytes == 0 || portions != bytes {
		t.Errorf("%d times bytes, %d times a portion: %+v", bytes, portions, all.told)
	}
}

// A file that goes on from where it was broken off counts only what is still to be sent.
func TestProgressOfTheRest(t *testing.T) {
	t.Parallel()
	const size = 6_000_000
	f, _ := remote(t, sshd.Config{})
	f.config().BWLimit, f.config().Partial = "1M", true
	content(t, filepath.Join(f.src, "big"), size, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := f.req
	req.Changes = paths("big")
	_, err := f.tr.Sync(ctx, req, func(p sdk.Progress) {
		if p.Bytes > size/2 {
			cancel()
		}
	})
	if err == nil {
		t.Fatal("it was not broken off")
	}
	partial := filepath.Join(f.dst, partialDir, "big")
	eventually(t, "what arrived is kept", func() bool { _, err := os.Stat(partial); return err == nil })
	f.req.Attempt = 2
	all := f.follow(paths("big")...)
	if all.result.Bytes > size*3/4 {
		t.Errorf("it began anew: %+v", all.result)
	}
	if bytes, portions := all.between(0, all.result.Bytes); bytes == 0 || portions == 0 {
		t.Errorf("%+v", all.told)
	}
}
