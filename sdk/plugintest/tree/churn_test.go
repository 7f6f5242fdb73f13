package tree_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// newRoot returns an empty directory with an unrelated one beside it.
func newRoot(t *testing.T) (root, beside string) {
	t.Helper()
	dir := t.TempDir()
	root, beside = filepath.Join(dir, "root"), filepath.Join(dir, "beside")
	must(t, os.Mkdir(root, 0o755))
	must(t, os.Mkdir(beside, 0o755))
	must(t, os.WriteFile(filepath.Join(beside, "file"), []byte("stay"), 0o644))
	return root, beside
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustEqual(t *testing.T, a, b string, o tree.Options) {
	t.Helper()
	d, err := tree.Diff(a, b, o)
	must(t, err)
	if d != "" {
		t.Fatal(d)
	}
}

func TestChurnIsDeterministic(t *testing.T) {
	for _, o := range []tree.ChurnOptions{{}, {Exclude: ".git", MaxEntries: 60}, {PlainNames: true}} {
		for seed := range uint64(3) {
			a, _ := newRoot(t)
			b, _ := newRoot(t)
			ca, cb := tree.NewChurn(seed, a, o), tree.NewChurn(seed, b, o)
			for range 400 {
				if sa, sb := ca.Step(), cb.Step(); sa != sb {
					t.Fatalf("seed %d:\n%s\n%s", seed, sa, sb)
				}
			}
			mustEqual(t, a, b, tree.Options{IgnoreTimes: true, HardLinks: true})
			mustEqual(t, a+".outside", b+".outside", tree.Options{IgnoreTimes: true})
		}
	}
}

func TestChurnSeedsDiffer(t *testing.T) {
	a, _ := newRoot(t)
	b, _ := newRoot(t)
	ca, cb := tree.NewChurn(1, a, tree.ChurnOptions{}), tree.NewChurn(2, b, tree.ChurnOptions{})
	ca.Run(50)
	cb.Run(50)
	if d, err := tree.Diff(a, b, tree.Options{}); err != nil || d == "" {
		t.Fatalf("two seeds gave the same tree, or %v", err)
	}
}

// TestChurnStaysInside has symlinks that lead out of the tree from the start.
func TestChurnStaysInside(t *testing.T) {
	for seed := range uint64(5) {
		root, beside := newRoot(t)
		before, err := tree.Read(beside)
		must(t, err)
		for i := range 5 {
			must(t, os.Symlink("../beside", fmt.Sprintf("%s/rel%d", root, i)))
			must(t, os.Symlink(beside, fmt.Sprintf("%s/abs%d", root, i)))
			must(t, os.Symlink(beside+"/file", fmt.Sprintf("%s/file%d", root, i)))
		}
		c := tree.NewChurn(seed, root, tree.ChurnOptions{})
		c.LogOnFailure(t)
		c.Run(300)
		after, err := tree.Read(beside)
		must(t, err)
		if len(before) != len(after) || before[""] != after[""] || before["file"] != after["file"] {
			t.Fatal("something beside the tree was changed")
		}
		entries, err := os.ReadDir(filepath.Dir(root))
		must(t, err)
		for _, e := range entries {
			if n := e.Name(); n != "root" && n != "beside" && n != "root.outside" {
				t.Fatalf("there is %q beside the tree", n)
			}
		}
	}
}

// verbs are what the descriptions of the operations start with.
var verbs = map[string]tree.Ops{
	"create ": 0, "append ": 0, "rewrite ": 0, "truncate ": 0, "write a temporary": 0, "mkdir -p ": 0,
	"mkdir and fill ": 0, "make and remove ": 0, "rm -r \"": tree.Removals, "rm -r, mkdir": tree.Removals,
	"rename ": tree.Renames, "exchange ": tree.Renames, "swap ": tree.Renames, "mkdir \"": tree.Renames,
	"move out ": tree.MovesOut, "outside, ": tree.MovesOut, "move in ": tree.MovesIn, "change ": tree.TypeChanges,
	"chmod ": tree.Attributes, "set the ": tree.Attributes, "symlink \"": tree.Symlinks, "symlink anew ": tree.Symlinks,
	"link ": tree.HardLinks, "mkfifo ": tree.Fifos,
}

func verbOf(t *testing.T, what string) string {
	t.Helper()
	for verb := range verbs {
		if strings.HasPrefix(what, verb) {
			return verb
		}
	}
	t.Fatalf("unknown operation: %s", what)
	return ""
}

func TestChurnDoesEverything(t *testing.T) {
	root, _ := newRoot(t)
	c := tree.NewChurn(1, root, tree.ChurnOptions{Exclude: "cache"})
	seen := map[string]int{}
	over := 0
	for range 3000 {
		what := c.Step()
		if strings.Contains(what, "\n") {
			t.Fatalf("more than one line: %s", what)
		}
		seen[verbOf(t, what)]++
		if strings.Contains(what, " over ") {
			over++
		}
	}
	for verb := range verbs {
		if seen[verb] < 5 {
			t.Errorf("%q only %d times", verb, seen[verb])
		}
	}
	if over < 5 {
		t.Errorf("a rename over an entry only %d times", over)
	}
	if c.Failed() > 0 {
		t.Errorf("%d steps failed:\n%s", c.Failed(), c.Log())
	}
}

func TestChurnWithout(t *testing.T) {
	all := tree.Removals | tree.Renames | tree.MovesOut | tree.MovesIn | tree.TypeChanges | tree.Attributes | tree.Symlinks | tree.HardLinks | tree.Fifos
	groups := []tree.Ops{all, tree.MovesOut | tree.MovesIn}
	for g := tree.Ops(1); g < all; g <<= 1 {
		groups = append(groups, g)
	}
	for _, g := range groups {
		root, _ := newRoot(t)
		c := tree.NewChurn(3, root, tree.ChurnOptions{Without: g, MaxEntries: 100})
		for range 500 {
			what := c.Step()
			if verbs[verbOf(t, what)]&g != 0 {
				t.Fatalf("without %b: %s", g, what)
			}
		}
		got, err := tree.Read(root)
		must(t, err)
		for p, e := range got {
			if kind := e.Mode & unix.S_IFMT; g&tree.Symlinks != 0 && kind == unix.S_IFLNK || g&tree.Fifos != 0 && kind == unix.S_IFIFO {
				t.Errorf("without %b there is %q with mode %o", g, p, e.Mode)
			}
		}
		if _, err := os.Lstat(root + ".outside"); err == nil && g&tree.MovesOut != 0 && g&tree.MovesIn != 0 {
			t.Errorf("without %b there is an outside directory", g)
		}
		if c.Failed() > 0 {
			t.Errorf("without %b %d steps failed", g, c.Failed())
		}
	}
}

func TestChurnMaxEntries(t *testing.T) {
	for _, limit := range []int{20, 100} {
		for _, without := range []tree.Ops{0, tree.Removals} {
			root, _ := newRoot(t)
			c := tree.NewChurn(7, root, tree.ChurnOptions{MaxEntries: limit, Without: without})
			most := 0
			for range 500 {
				c.Step()
				got, err := tree.Read(root)
				must(t, err)
				most = max(most, len(got)-1)
			}
			if most > limit || most < limit/3 {
				t.Errorf("limit %d, without %b: up to %d entries", limit, without, most)
			}
		}
	}
}

// TestChurnOfNothingElse must find something to do in the poorest tree.
func TestChurnOfNothingElse(t *testing.T) {
	root, _ := newRoot(t)
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "dir", "file.txt"} {
		for i := range 3 {
			must(t, os.Symlink("x", fmt.Sprintf("%s/%s%s", root, name, strings.Repeat("x", i))))
		}
	}
	c := tree.NewChurn(1, root, tree.ChurnOptions{Without: ^tree.Ops(0), MaxEntries: 20, PlainNames: true})
	c.Run(20)
}

// TestChurnExclude checks what a test of excludes relies on: only directories have the name, and no
// change below one changes anything elsewhere.
func TestChurnExclude(t *testing.T) {
	const name = "dir" // would be a plain name otherwise
	excluded := func(p string) bool { return path.Base(p) == name }
	inPlace := 0
	for seed := range uint64(4) {
		root, _ := newRoot(t)
		must(t, os.Mkdir(root+"/"+name, 0o755))
		for i := range 10 { // each with a name on either side
			must(t, os.WriteFile(fmt.Sprintf("%s/f%d", root, i), []byte("content"), 0o644))
			must(t, os.Link(fmt.Sprintf("%s/f%d", root, i), fmt.Sprintf("%s/%s/f%d", root, name, i)))
		}
		c := tree.NewChurn(seed, root, tree.ChurnOptions{Exclude: name, MaxEntries: 80})
		for range 250 {
			before := readWithout(t, root, excluded)
			what := c.Step()
			verb := verbOf(t, what)
			if below := strings.Contains(what, `"`+name+"/") || strings.Contains(what, "/"+name+"/"); below &&
				(verb == "append " || verb == "rewrite " || verb == "truncate " || verb == "chmod " || verb == "set the ") {
				inPlace++
				after := readWithout(t, root, excluded)
				for p := range before {
					if before[p] != after[p] {
						t.Fatalf("%s: changed %q, too", what, p)
					}
				}
			}
		}
		err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
			if err == nil && e.Name() == name && !e.IsDir() {
				t.Errorf("%q is no directory", p)
			}
			return err
		})
		must(t, err)
	}
	if inPlace < 10 {
		t.Errorf("only %d changes in place below excluded directories", inPlace)
	}
}

// readWithout reads a tree without what is excluded, or below it.
func readWithout(t *testing.T, root string, excluded func(string) bool) tree.Tree {
	t.Helper()
	got, err := tree.Read(root)
	must(t, err)
	for p := range got {
		for q := p; q != "." && q != ""; q = path.Dir(q) {
			if excluded(q) {
				delete(got, p)
			}
		}
	}
	return got
}

func TestChurnReportsFailures(t *testing.T) {
	root, _ := newRoot(t)
	c := tree.NewChurn(1, root, tree.ChurnOptions{})
	must(t, os.Remove(root))
	what := c.Step()
	if c.Failed() != 1 || !strings.Contains(what, "no such file") {
		t.Errorf("%d failed: %s", c.Failed(), what)
	}
	if log := c.Log(); !strings.Contains(log, "seed 1") || !strings.Contains(log, "\n1 "+what+"\n") {
		t.Errorf("log:\n%s", log)
	}
}

func BenchmarkChurn(b *testing.B) {
	root := b.TempDir() + "/root"
	if err := os.Mkdir(root, 0o755); err != nil {
		b.Fatal(err)
	}
	c := tree.NewChurn(1, root, tree.ChurnOptions{})
	for b.Loop() {
		c.Step()
	}
}
