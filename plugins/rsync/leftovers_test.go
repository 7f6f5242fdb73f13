package rsync

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// leave leaves temporary files, as a killed rsync does.
func (f *fixture) leave(names ...string) { f.t.Helper(); f.write(f.dst, names...) }

// again syncs changes that were tried before.
func (f *fixture) again(changes ...sdk.Change) sdk.Result {
	f.t.Helper()
	f.req.Attempt = 2
	defer func() { f.req.Attempt = 1 }()
	return f.sync(changes...)
}

// The rsync that writes is killed; the next try of the same path leaves nothing of it, also if it has gone.
func TestKilledReceiverIsSweptUp(t *testing.T) {
	t.Parallel()
	for _, partial := range []bool{false, true} {
		for _, gone := range []bool{false, true} {
			f := local(t)
			f.config().Partial = partial
			f.write(f.src, "first", "d/x")
			f.sync(subtrees("")...)
			big := f.slow()
			f.must(os.Rename(filepath.Join(f.src, "big"), filepath.Join(f.src, "d/big")))
			big.Path = "d/big"
			result := make(chan error, 1)
			go func() {
				_, err := f.try(big)
				result <- err
			}()
			var temps []string
			eventually(t, "a temporary file", func() bool {
				temps, _ = filepath.Glob(filepath.Join(f.dst, "d/.big.*"))
				return len(temps) > 0
			})
			// None is to notice the other's end, and to clear up.
			for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
				for _, pid := range f.atDestination() {
					_ = proc.Kill(pid, signal)
				}
			}
			if err := <-result; err == nil {
				t.Fatal("no error")
			}
			if temps, _ = filepath.Glob(filepath.Join(f.dst, "d/.big.*")); len(temps) == 0 {
				t.Fatal("the killed rsync has left nothing")
			}
			f.config().BWLimit = ""
			if gone {
				f.must(os.Remove(filepath.Join(f.src, "d/big")))
			}
			f.again(big)
			f.equal(tree.Options{})
		}
	}
}

// Only what looks like a temporary file goes, only beside what was tried before, and only if it may be deleted.
func TestSweep(t *testing.T) {
	t.Parallel()
	odd := []string{" ", "-x", "#a", ";a", "a\nb", "a*b", "a?[b]", `a\b`, `a"'b`, "tab\t", "\xff\xfe", "trailing ", strings.Repeat("n", 240)}
	for _, mode := range modes[:2] {
		t.Run(mode.name, func(t *testing.T) {
			f := local(t)
			f.req.Exclude = []string{"*.keep00", "/not/"}
			f.force(mode.caps)
			f.write(f.src, "top")
			f.sync(paths("top")...)
			var changes []sdk.Change
			for _, name := range odd {
				f.write(f.src, name+"/file", name+"/.its.abcdef")
				changes = append(changes, sdk.Change{Path: name + "/file"})
				f.leave(name + "/.file.Ab3dEf")
			}
			f.write(f.src, "top", "d/file", "d/other", "not/a", "p/q", "p/q")
			changes = append(changes, paths("top", "d/file", "not/a", "p/gone/deep/file")...)
			f.leave(".top.zzzzzz", "d/.x.000000", "p/gone/deep/.file.aaaaaa")
			stays := []string{
				"extra",              // no such name
				"d/.hidden",          // nor this
				"d/.x.abcdefg",       // nor this
				"d/.x.abc ef",        // nor this
				"d/x.abcdef",         // nor this
				"d/.dir.abcdef/file", // no file
				"d/sub/.x.abcdef",    // nothing was tried there
				"d/.x.keep00",        // excluded
				"not/.a.abcdef",      // below what is excluded
			}
			f.leave(stays...)
			before := snap(t, f.dst)
			res := f.again(changes...)
			if res.Deleted < uint64(len(odd)) {
				t.Errorf("%+v", res)
			}
			for _, name := range stays {
				if !f.exists(name) {
					t.Errorf("%q is gone", name)
				}
			}
			after := snap(t, f.dst)
			for p := range after {
				if base := filepath.Base(p); strings.HasPrefix(base, ".") && before[p] != "" && !slices.Contains(stays, p) && base != ".dir.abcdef" {
					if _, err := os.Lstat(filepath.Join(f.src, p)); err != nil {
						t.Errorf("%q is left", p)
					}
				}
			}
			for _, name := range odd {
				if !f.exists(name + "/.its.abcdef") {
					t.Errorf("what the source has is not there: %q", name)
				}
			}
			if f.exists("p/gone") {
				t.Error("gone is there")
			}
		})
	}
}

// Not at the first try, and not with delete off.
func TestNoSweep(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "a")
	f.leave(".a.abcdef")
	f.sync(paths("a")...)
	if !f.exists(".a.abcdef") {
		t.Error("swept at the first try")
	}
	f.req.Delete = false
	f.again(paths("a")...)
	if !f.exists(".a.abcdef") {
		t.Error("swept with delete off")
	}
	f.req.Delete = true
	f.again(paths("a")...)
	if f.exists(".a.abcdef") {
		t.Error("not swept")
	}
}

// What is swept counts as deletions, and what may not be deleted is withheld.
func TestSweepWithinTheLimit(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "a", "b")
	f.sync(subtrees("")...)
	f.leave(".a.abcdef", ".b.abcdef")
	f.req.MaxDelete = 1
	if res := f.again(paths("a", "b")...); res.Withheld.Count == 0 || res.Deleted > 1 {
		t.Errorf("%+v", res)
	}
	f.req.MaxDelete = 2
	if f.again(paths("a", "b")...); f.exists(".a.abcdef") || f.exists(".b.abcdef") {
		t.Error("not swept")
	}
}

// A standby that dies at its work is made up for in the same call, what it has left included.
func TestStandbyThatDiesIsSweptUp(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.force(allCaps)
	f.write(f.src, "d/a", "d/b")
	f.sync(paths("d/a")...)
	f.waiting()
	b := f.onStandby()
	f.leave("d/.b.abcdef")
	for _, pid := range f.atDestination() {
		_ = proc.Kill(pid, syscall.SIGSTOP)
	}
	done := make(chan struct{})
	go func() { defer close(done); f.sync(paths("d/b")...) }()
	<-b.list.ready // one that dies before has left nothing
	for _, pid := range f.atDestination() {
		_ = proc.Kill(pid, syscall.SIGKILL)
	}
	<-done
	f.equal(tree.Options{})
}

// The plugin is killed: its successor knows nothing of what was under way, and compares everything.
func TestSuccessorComparesEverything(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "a", "d/b")
	f.leave("e/.x.abcdef", "extra")
	f.again(paths("a")...)
	f.equal(tree.Options{})
	f.leave("extra")
	f.again(paths("a")...)
	if !f.exists("extra") {
		t.Error("everything was compared again")
	}
}

// The destination has lost a directory, and the call that finds it out fails before it has mended that. The
// directory is there again then, which must not be taken for good.
func TestLostDirectoryAfterAFailure(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.config().Standby = 0
	f.write(f.src, "d/a", "d/b", "d/sub/c")
	f.sync(subtrees("")...)
	f.must(os.RemoveAll(filepath.Join(f.dst, "d")))
	f.write(f.src, "d/new")
	f.force(allCaps)
	f.wrap(`for a; do [ "$a" = --recursive ] && kill -KILL $$; done; exec "$rsync" "$@"`)
	if res, err := f.try(paths("d/new")...); err == nil || !f.exists("d/new") {
		t.Fatal(describe(res, err))
	}
	f.unwrap()
	f.again(paths("d/new")...)
	f.equal(tree.Options{})
}

// What is swept is told to nobody as a change that was missed.
func TestSweepIsNotListed(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "a")
	f.sync(subtrees("")...)
	f.leave(".a.abcdef")
	for _, dry := range []bool{true, false} {
		req := f.req
		req.Attempt, req.List, req.DryRun, req.Changes = 2, true, dry, paths("a")
		var list []sdk.Difference
		if res, err := f.tr.Sync(context.Background(), req, func(p sdk.Progress) { list = append(list, p.Differences...) }); err != nil {
			t.Fatal(describe(res, err))
		}
		listed := slices.Contains(list, sdk.Difference{Path: ".a.abcdef", Kind: sdk.Extra})
		if listed != dry {
			t.Errorf("dry run %v: %v", dry, list)
		}
	}
}
