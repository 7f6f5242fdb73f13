package poll

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
)

func TestWay(t *testing.T) {
	for _, tt := range []struct {
		only []string
		want way
	}{
		{nil, nil},
		{[]string{"a/b", "", "c"}, nil},
		{[]string{"a/b", "a/c", "d"}, way{"a": {"b": nil, "c": nil}, "d": nil}},
		{[]string{"a", "a/b/c"}, way{"a": nil}},
		{[]string{"a/b/c", "a"}, way{"a": nil}},
	} {
		if diff := cmp.Diff(tt.want, newWay(tt.only)); diff != "" {
			t.Errorf("%q: %s", tt.only, diff)
		}
	}
}

// FuzzWay: what lies at or below one of the paths, and nothing else, is at the end of the way.
func FuzzWay(f *testing.F) {
	f.Add("a/b\x00a\x00c//d", "a/b/c")
	f.Fuzz(func(t *testing.T, list, path string) {
		only := strings.Split(list, "\x00")
		want := slices.ContainsFunc(only, func(p string) bool {
			return sdk.Change{Path: p, Scope: sdk.ScopeSubtree}.Covers(path)
		})
		at := newWay(only)
		for name := range strings.SplitSeq(path, "/") {
			next, on := at[name]
			if at == nil || !on {
				break
			}
			at = next
		}
		got := at == nil
		if got && !want || want && !got {
			t.Errorf("%q in %q: got %t", path, only, got)
		}
	})
}

// watchOnly watches some subtrees; only barriers cause passes after the first.
func watchOnly(a watchertest.Area, only ...string) *watched {
	w := request(a.T, sdk.WatchRequest{Root: a.Root, Only: only, Config: rarely()}).isReady()
	w.rest()
	return w
}

func TestOnly(t *testing.T) {
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	a.Mkdir("in/d", "in/other", "out/d", "file.d")
	a.Write("in/d/x", "in/other/y", "out/d/z", "file.d/f", "file.d/g", "top")
	w := watchOnly(a, "in/d", "file.d/f", "missing/deep/er", "top/never")
	expect := func(what string, want ...sdk.Change) {
		t.Helper()
		got := w.after()
		for _, c := range want {
			if !slices.Contains(got, c) {
				t.Errorf("%s: %+v is not in %+v", what, c, got)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
		w.rest()
	}

	a.Write("in/d/x", "in/other/y", "in/new", "out/d/z", "out/new", "file.d/g", "new", "top")
	expect("changes inside and outside", sdk.Change{Path: "in/d/x", Ops: sdk.OpWrite | sdk.OpClose},
		// What bars the way is looked at too: it might become a directory.
		sdk.Change{Path: "top", Ops: sdk.OpWrite | sdk.OpClose})

	a.Write("file.d/f")
	expect("a file", sdk.Change{Path: "file.d/f", Ops: sdk.OpWrite | sdk.OpClose})
	a.Remove("file.d/f")
	expect("a file is removed", sdk.Change{Path: "file.d/f", Ops: sdk.OpRemove})
	a.Mkdir("file.d/f/g")
	expect("a directory in its place", sdk.Change{Path: "file.d/f", Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate | sdk.OpClose})
	a.Write("file.d/f/g/x")
	expect("what is in that", sdk.Change{Path: "file.d/f/g", Ops: sdk.OpAttrib},
		sdk.Change{Path: "file.d/f/g/x", Ops: sdk.OpCreate | sdk.OpClose})

	a.Mkdir("missing")
	a.Write("missing/beside")
	w.after()
	a.Mkdir("missing/deep")
	w.after()
	w.rest()
	a.Mkdir("missing/deep/er/est", "missing/deep/beside")
	a.Write("missing/deep/er/x")
	expect("one that was missing", sdk.Change{Path: "missing/deep/er", Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate | sdk.OpClose})

	a.Move("in", "elsewhere")
	if got := w.after(); !covered(a.Root, "in/d/x", got) {
		t.Errorf("the directory above is gone: %+v", got)
	}
	w.rest()
	a.Write("elsewhere/d/x")
	expect("where it is now")
	a.Mkdir("in/d")
	a.Write("in/d/x2")
	if got := w.after(); !covered(a.Root, "in/d/x2", got) {
		t.Errorf("another directory above: %+v", got)
	}
	w.rest()
	a.Move("in", "first")
	a.Move("elsewhere", "in")
	if got := w.after(); !covered(a.Root, "in/d/x", got) || !covered(a.Root, "in/d/x2", got) {
		t.Errorf("the directory above was exchanged: %+v", got)
	}
	watchertest.Must(t, w.end())
}

// TestOnlyReadsNothingElse: only what is asked for is listed or kept in memory, and of the directories
// above it nothing but the way.
func TestOnlyReadsNothingElse(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("a/b/c/skip", "a/other", "z")
	a.Write("a/b/c/x", "a/b/c/skip/x", "a/other/x", "a/x", "z/x")
	f, err := filter.Parse([]string{"/a/b/c/skip/"})
	watchertest.Must(t, err)
	tr := newTree(a.Root, f, []string{"a/b/c", "a/none"}, newRecorder())
	var mu sync.Mutex
	lists := 0
	var looked []string
	tr.system.list = func(f folder, buf []byte, add func([]byte, uint16)) error {
		mu.Lock()
		lists++
		mu.Unlock()
		return f.list(buf, add)
	}
	tr.system.look = func(f folder, name []byte, e *entry, fresh bool) error {
		mu.Lock()
		looked = append(looked, string(name[:len(name)-1]))
		mu.Unlock()
		return f.look(name, e, fresh)
	}
	mustPass(t, tr, false)
	if lists != 1 {
		t.Errorf("%d directories were listed", lists)
	}
	slices.Sort(looked)
	want := []string{"a", "b", "c", "none", "x"}
	if got := slices.DeleteFunc(slices.Compact(looked), func(n string) bool { return n == "" }); !slices.Equal(got, want) {
		t.Errorf("looked at %q, want %q", got, want)
	}
	if n := len(tr.top.entries) + len(tr.top.subs[0].entries); n != 2 {
		t.Errorf("%d entries are known above", n)
	}
}

// TestOnlyExcluded: what the patterns leave out is left out, asked for or not.
func TestOnlyExcluded(t *testing.T) {
	a := watchertest.NewArea(t)
	a.Mkdir("d/skip", "skip/d")
	a.Write("d/x", "d/skip/x", "skip/d/x")
	w := request(t, sdk.WatchRequest{Root: a.Root, Exclude: []string{"skip/"}, Only: []string{"d", "skip/d", "d2/skip"}, Config: rarely()}).isReady()
	w.rest()
	a.Write("d/skip/x", "skip/d/x")
	a.Mkdir("d2/skip")
	a.Write("d2/skip/x")
	w.after()
	w.rest()
	a.Write("d/x", "d2/skip/x")
	changes := w.after()
	named(t, changes, "d/x", sdk.ScopePath)
	quiet(t, changes, "d/x")
}

func TestOnlyHostileNames(t *testing.T) {
	a := watchertest.NewArea(t)
	var only []string
	for _, n := range trees.HostileNames() {
		only = append(only, n+"/"+n)
	}
	w := watchOnly(a, only...)
	for _, n := range trees.HostileNames() {
		a.Mkdir(n + "/" + n)
		a.Write(n + "/" + n + "/" + n)
	}
	changes := w.after()
	for _, n := range trees.HostileNames() {
		if !covered(a.Root, n+"/"+n+"/"+n, changes) {
			t.Errorf("%q is not covered", n)
		}
	}
}

// TestOnlyOracle is TestOracle for some directories of the tree: what is in them is reported, nothing else.
func TestOnlyOracle(t *testing.T) {
	for seed := range trees.Seeds(t, 20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { onlyOracle(t, uint64(seed)) })
	}
}

func onlyOracle(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	root := t.TempDir() + "/root"
	watchertest.Must(t, os.Mkdir(root, 0o755))
	t.Cleanup(func() { os.RemoveAll(root + ".outside") })
	c := trees.NewChurn(seed, root, trees.ChurnOptions{})
	c.LogOnFailure(t)
	c.Run(300)
	before, err := trees.Read(root)
	watchertest.Must(t, err)
	var only []string
	for p := range before {
		if p != "" && rng.IntN(len(before)) < 6 {
			only = append(only, p)
		}
	}
	inside := func(p string) bool {
		return slices.ContainsFunc(only, func(o string) bool { return sdk.Change{Path: o, Scope: sdk.ScopeSubtree}.Covers(p) })
	}
	above := func(p string) bool {
		return slices.ContainsFunc(only, func(o string) bool { return sdk.Change{Path: p, Scope: sdk.ScopeSubtree}.Covers(o) })
	}
	if len(only) == 0 {
		only = []string{"not/there"}
	}
	w := request(t, sdk.WatchRequest{Root: root, Only: only,
		Config: &config{Interval: minInterval, MaxLoad: []string{"100%", "10%"}[seed%2]}}).isReady()
	before, err = trees.Read(root)
	watchertest.Must(t, err)
	w.take()
	for range 4 {
		c.Run(rng.IntN(150))
		changes := w.after()
		for _, change := range changes {
			if !inside(change.Path) && !above(change.Path) {
				t.Errorf("%q is reported, which is not in %q", change.Path, only)
			}
		}
		after, err := trees.Read(root)
		watchertest.Must(t, err)
		for p := range union(before, after) {
			a, inA := before[p]
			b, inB := after[p]
			if inside(p) && !(inA == inB && a == b) && !covered(root, p, changes) {
				t.Errorf("%q was %+v, is %+v, and is not covered by %d changes", p, a, b, len(changes))
			}
		}
		before = after
	}
	watchertest.Must(t, w.end())
}
