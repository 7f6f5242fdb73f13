package filter

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var (
	lists = flag.Int("filter.lists", 300, "pattern lists to compare with rsync")
	seed  = flag.Uint64("filter.seed", 1, "seed of the random pattern lists")
)

// transferred returns what rsync would transfer of root.
func transferred(root string, args []string) (entries, error) {
	args = append(append([]string{"-nrlD", "--out-format=%n"}, args...), "--", root+"/", root+".nowhere/")
	out, err := rsync(args...)
	tree := entries{}
	for line := range strings.Lines(out) {
		path := decode(strings.TrimSuffix(line, "\n"))
		if path == "./" || strings.HasPrefix(path, "created directory ") {
			continue
		}
		tree[strings.TrimSuffix(path, "/")] = strings.HasSuffix(path, "/")
	}
	return tree, err
}

func rsync(args ...string) (string, error) {
	cmd := exec.Command("rsync", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("rsync %q: %w: %s", args, err, stderr.Bytes())
	}
	return string(out), err
}

var escaped = regexp.MustCompile(`\\#[0-3][0-7][0-7]`)

// decode undoes rsync's escapes.
func decode(s string) string {
	return escaped.ReplaceAllStringFunc(s, func(e string) string {
		b, _ := strconv.ParseUint(e[2:], 8, 8)
		return string([]byte{byte(b)})
	})
}

// kept returns what the filter leaves of a tree.
func kept(f *Filter, tree entries) entries {
	rest := entries{}
	for path, dir := range tree {
		if !f.Excluded(path, dir) {
			rest[path] = dir
		}
	}
	return rest
}

// TestAgainstRsync transfers a tree of hostile names with random pattern lists and compares what
// rsync takes with what the filter leaves.
func TestAgainstRsync(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	r := rand.New(rand.NewPCG(*seed, 0))
	tree := makeTree(t, root, r)
	if all, err := transferred(root, nil); err != nil || !maps.Equal(tree, all) {
		t.Fatalf("without patterns (-made, +rsync): %v\n%s", err, gocmp.Diff(tree, all))
	}
	var telling atomic.Int64
	work := make(chan []string)
	var wg sync.WaitGroup
	for range 8 { // rsync mostly waits for its other half
		wg.Go(func() {
			for patterns := range work {
				if compare(t, root, tree, patterns) {
					telling.Add(1)
				}
			}
		})
	}
	for range *lists {
		work <- randomPatterns(r)
	}
	close(work)
	wg.Wait()
	if telling.Load() < int64(*lists/4) {
		t.Errorf("only %d of %d lists excluded a part of the tree", telling.Load(), *lists)
	}
}

// TestSetsAgainstRsync asks about each byte that a name can have.
func TestSetsAgainstRsync(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	tree := entries{}
	for b := 1; b < 256; b++ {
		name := "x" + string([]byte{byte(b)})
		if b == '/' {
			continue
		}
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		tree[name] = false
	}
	patterns := []string{"x?", "x*", "x[!a-z]", "x[^\x80-\xff]", "x[z-a]", "x[%--]", "x[]-a]", "x[!]a-]", `x[\]-\a]`}
	for class := range classes {
		patterns = append(patterns, "x[[:"+class+":]]")
	}
	for _, p := range patterns {
		compare(t, root, tree, []string{p})
	}
}

// compare reports whether the patterns excluded a part of the tree.
func compare(t *testing.T, root string, tree entries, patterns []string) bool {
	patterns = withoutRefused(t, root, tree, patterns)
	f, err := Parse(patterns)
	if err != nil {
		t.Error(err)
		return false
	}
	want, err := transferred(root, f.RsyncArgs())
	if err != nil {
		t.Error(err)
		return false
	}
	got := kept(f, tree)
	if !maps.Equal(want, got) {
		t.Errorf("%q (-rsync, +filter):\n%s", patterns, gocmp.Diff(want, got))
	}
	return 0 < len(got) && len(got) < len(tree)
}

// withoutRefused returns the patterns that Parse takes, after showing that rsync either refuses each of
// the others too or excludes nothing because of it.
func withoutRefused(t *testing.T, root string, tree entries, patterns []string) []string {
	var ok []string
	for _, p := range patterns {
		_, err := Parse([]string{p})
		if err == nil {
			ok = append(ok, p)
			continue
		}
		if strings.Contains(p, "\n") {
			continue // rsync takes these
		}
		if taken, err := transferred(root, []string{"--exclude=" + p}); err == nil && !maps.Equal(tree, taken) {
			t.Errorf("%q is refused but rsync excludes something (-all, +taken):\n%s", p, gocmp.Diff(tree, taken))
		}
	}
	return ok
}

// TestProtectsAtDestination deletes a whole tree with random pattern lists, over a pipe, so that the
// receiver gets the patterns through the protocol, and looks at what is left.
func TestProtectsAtDestination(t *testing.T) {
	shell := filepath.Join(t.TempDir(), "shell")
	if err := os.WriteFile(shell, []byte("#!/bin/sh\nshift\neval \"$*\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(*seed, 1))
	empty := t.TempDir()
	base := t.TempDir()
	for i := range max(1, *lists/10) {
		root := filepath.Join(base, strconv.Itoa(i))
		tree := makeTree(t, root, r)
		f := mustParse(t, withoutRefused(t, root, tree, randomPatterns(r))...)
		args := append(f.RsyncArgs(), "-rlD", "--delete", "-e", shell, "--", empty+"/", "host:"+root+"/")
		if _, err := rsync(args...); err != nil {
			t.Fatal(err)
		}
		want := entries{}
		for path, dir := range tree {
			if !f.Excluded(path, dir) {
				continue
			}
			want[path] = dir
			for parent := filepath.Dir(path); parent != "."; parent = filepath.Dir(parent) {
				want[parent] = true
			}
		}
		if diff := gocmp.Diff(want, walk(t, root)); diff != "" {
			t.Errorf("%q (-should stay, +stayed):\n%s", f.patterns, diff)
		}
	}
}

// TestMissingAtDestination shows why ExcludedMissing asks about both roles: rsync removes a protected
// directory that it is told is missing, and keeps it when the path is not named.
func TestMissingAtDestination(t *testing.T) {
	f := mustParse(t, "cache/", "*.tmp")
	for _, tt := range []struct {
		name  string
		skip  func(path string) bool
		after entries
	}{
		{"as a file only", func(p string) bool { return f.Excluded(p, false) }, entries{"a.tmp": false, "d": true, "d/b.tmp": false}},
		{"ExcludedMissing", f.ExcludedMissing, entries{"a.tmp": false, "cache": true, "cache/x": false, "d": true, "d/b.tmp": false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src, dst := t.TempDir(), t.TempDir()
			var list []string
			for path, dir := range map[string]bool{"a.tmp": false, "cache": true, "d": true, "gone": false} {
				full := filepath.Join(dst, path)
				var err error
				if dir {
					err = cmp.Or(os.Mkdir(full, 0o755), os.WriteFile(full+"/"+map[string]string{"cache": "x", "d": "b.tmp"}[path], nil, 0o644))
				} else {
					err = os.WriteFile(full, nil, 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
				if !tt.skip(path) {
					list = append(list, "/"+path+"\x00")
				}
			}
			from := filepath.Join(t.TempDir(), "list")
			if err := os.WriteFile(from, []byte(strings.Join(list, "")), 0o644); err != nil {
				t.Fatal(err)
			}
			args := append(f.RsyncArgs(), "-lptgoD", "--from0", "--files-from="+from, "--delete", "--delete-missing-args", "--force", "--", src+"/", dst+"/")
			if _, err := rsync(args...); err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(tt.after, walk(t, dst)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// walk returns what is below root.
func walk(t *testing.T, root string) entries {
	t.Helper()
	tree := entries{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if path != root && err == nil {
			tree[path[len(root)+1:]] = d.IsDir()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
