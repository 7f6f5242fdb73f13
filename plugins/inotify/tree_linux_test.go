package inotify

import (
	"runtime"
	"strconv"
	"testing"
)

// TestNodeMemory holds the promise that a million directories cost less than 400 MB here.
func TestNodeMemory(t *testing.T) {
	const dirs = 200_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	tr := newTree(0)
	parent := tr.root
	for i := int32(1); i <= dirs; i++ {
		n, _, _, ok := tr.settle(parent, "directory"+strconv.Itoa(int(i)), i, false)
		if !ok {
			t.Fatal("refused")
		}
		if i%100 == 0 {
			parent = n
		}
	}
	perDir := (heap() - before) / dirs
	runtime.KeepAlive(tr)
	t.Logf("%d bytes for each directory", perDir)
	if perDir > 400 {
		t.Errorf("%d bytes for each directory", perDir)
	}
}

func TestSettle(t *testing.T) {
	tr := newTree(1)
	put := func(parent *node, name string, wd int32, mount bool, want arrival) *node {
		t.Helper()
		n, how, displaced, ok := tr.settle(parent, name, wd, mount)
		if !ok || how != want {
			t.Fatalf("%s: %v, %v; want %v", name, how, ok, want)
		}
		if displaced != nil && tr.attached(displaced) {
			t.Fatalf("%s: what was there still has a place", name)
		}
		return n
	}
	path := func(n *node) string {
		p, ok := tr.path(n)
		if !ok {
			return "nowhere"
		}
		return p
	}
	a := put(tr.root, "a", 2, false, added)
	b := put(a, "b", 3, false, added)
	put(a, "b", 3, false, kept)
	put(tr.root, "c", 3, false, moved)
	if path(b) != "c" || tr.child(a, "b") != nil {
		t.Fatalf("b is at %s", path(b))
	}
	put(tr.root, "c", 4, false, added)
	if path(b) != "nowhere" {
		t.Fatalf("b is at %s", path(b))
	}
	put(a, "b", 3, false, moved)
	if _, _, _, ok := tr.settle(b, "x", 2, false); ok {
		t.Fatal("a below itself")
	}

	// The same directory at a mount is a second place, and leaving one does not touch the other.
	m := put(tr.root, "m", 2, true, added)
	mb := put(m, "b", 3, false, added)
	if path(b) != "a/b" || path(mb) != "m/b" {
		t.Fatalf("b is at %s and %s", path(b), path(mb))
	}
	put(m, "n", 3, false, moved)
	if path(b) != "a/b" || path(mb) != "m/n" {
		t.Fatalf("b is at %s and %s", path(b), path(mb))
	}
	tr.detach(b)
	if tr.forget(b) || !tr.forget(mb) || tr.watches[3] != nil {
		t.Fatal("the descriptor must go with the last place")
	}
}
