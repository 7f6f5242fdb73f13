package rsync

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// The source changes while it is transferred. Whatever a request confirms is right, unless it changed
// again: in the end nothing is pending and the trees are equal.
func TestChurnDuringTransfers(t *testing.T) {
	t.Parallel()
	for _, mode := range modes[:2] {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(tree.Seeds(t, 2)) {
				f := local(t)
				f.force(mode.caps)
				churnConcurrently(f, seed)
			}
		})
	}
}

// A file that becomes a FIFO between rsync's look at it and its open makes rsync wait forever.
func TestFileBecomesFIFO(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.slow() // is sent first, while the other changes
	f.must(os.WriteFile(filepath.Join(f.src, "big"), make([]byte, 2<<20), 0o644))
	f.write(f.src, "z")
	f.force(allCaps)
	go func() {
		f.transferring(f.dst + "/")
		f.must(os.Remove(filepath.Join(f.src, "z")))
		f.must(syscall.Mkfifo(filepath.Join(f.src, "z"), 0o644))
	}()
	f.sync(paths("", "big", "z")...)
	f.equal(tree.Options{})
}

// A directory that was renamed is at the destination under one name at least, at every moment.
func TestRenamedDirectoryIsNeverMissing(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "z-old/file")
	f.must(os.WriteFile(filepath.Join(f.src, "z-old", "big"), make([]byte, 1<<20), 0o644))
	f.sync(subtrees("")...)
	f.must(os.Rename(filepath.Join(f.src, "z-old"), filepath.Join(f.src, "new")))
	f.config().BWLimit = "1M"
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.sync(append(paths("z-old"), subtrees("new")...)...)
	}()
	for {
		if !f.exists("z-old/big") && !f.exists("new/big") {
			t.Error("neither name is there")
		}
		select {
		case <-done:
			f.equal(tree.Options{})
			return
		default:
		}
	}
}

func churnConcurrently(f *fixture, seed uint64) {
	f.t.Helper()
	c := tree.NewChurn(seed, f.src, tree.ChurnOptions{})
	c.LogOnFailure(f.t)
	c.Run(100)
	f.sync(subtrees("")...)
	rng := rand.New(rand.NewPCG(seed, 2))
	pending := map[string]sdk.Change{"": {}}
	for round := 0; len(pending) > 0; round++ {
		if round == 60 {
			f.t.Fatalf("still pending: %q", slices.Sorted(maps.Keys(pending)))
		}
		// As a watcher, who sees too what came and went during the request, and reports a directory that is
		// new, or another one, with all that is in it.
		seen := map[string]sdk.Scope{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if round >= 25 {
				return
			}
			before := snapWhileChanging(f.src)
			for range rng.IntN(80) {
				c.Run(1)
				now := snapWhileChanging(f.src)
				for _, p := range changed(before, now) {
					if inode(before[p]) != inode(now[p]) && isDir(filepath.Join(f.src, p)) {
						seen[p] = sdk.ScopeSubtree
					} else {
						seen[p] = max(seen[p], sdk.ScopePath)
					}
				}
				before = now
			}
		}()
		request := slices.Collect(maps.Values(pending))
		res, err := f.try(request...)
		<-done
		if err == nil {
			settle(pending, request, res)
		}
		for p, scope := range seen {
			pending[p] = sdk.Change{Path: p, Scope: max(scope, pending[p].Scope)}
		}
		if round < 25 {
			pending[""] = sdk.Change{} // a watcher does not see the root's own attributes
		}
		// As after an overflow.
		if round%5 == 4 {
			for p, change := range pending {
				change.Scope = sdk.ScopeSubtree
				pending[p] = change
				break
			}
		}
	}
	f.equal(tree.Options{})
}

// settle takes out of pending what a request confirmed.
func settle(pending map[string]sdk.Change, request []sdk.Change, res sdk.Result) {
	for _, change := range request {
		delete(pending, change.Path)
	}
	for _, failed := range res.Failed {
		pending[failed.Path] = sdk.Change{Path: failed.Path}
		for _, change := range request {
			if change.Covers(failed.Path) {
				pending[change.Path] = change
			}
		}
	}
}

// snapWhileChanging is snap for a tree that is in motion: what it misses changed meanwhile, and shows
// in the next comparison.
func snapWhileChanging(root string) snapshot {
	s := snapshot{}
	var walk func(dir, rel string)
	walk = func(dir, rel string) {
		entries, _ := readDir(dir)
		for _, name := range entries {
			p := strings.TrimPrefix(rel+"/"+name, "/")
			s[p] = stamp(dir + "/" + name)
			if isDir(dir + "/" + name) {
				walk(dir+"/"+name, p)
			}
		}
	}
	walk(root, "")
	return s
}
