package watchertest

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// Oracle changes a tree at random, as fast as it can, from two goroutines. A mirror is kept in step only by
// what is reported, as the core does it. When a barrier after the changes is reached, the mirror must be equal
// to the tree, a canary in each directory must be reported under its right path, and a write to a file with
// several names under each of them, whichever it was made by.
type Oracle struct {
	// Watch returns the backend for a seed, and whether it loses events, and repairs that by comparing.
	Watch func(seed uint64) (b Backend, lossy bool)
	// Quiet is called when the changes are over, with all directories of the tree that are not excluded.
	Quiet func(w *Watched, dirs []string, rescans int, lossy bool)
	// Blind says that nobody tells the backend of what is written to an open file after the name that it was
	// opened by is gone, or has left the tree. Such a file is written again, by a name that it has.
	Blind bool
}

var first = flag.Uint64("oracle.first", 1, "first seed of the random tree oracle")

// Run runs the oracle with as many seeds as there shall be.
func (o Oracle) Run(t *testing.T, few int) {
	LeakCheck(t)
	var dirs, linked, rescans int
	seeds := trees.Seeds(t, few)
	for i := range seeds {
		seed := *first + uint64(i)
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			d, l, r := o.run(t, seed)
			dirs, linked, rescans = dirs+d, linked+l, rescans+r
		}) {
			break
		}
	}
	t.Logf("%d seeds, %d directories, %d files with several names, %d rescans of the whole tree", seeds, dirs, linked, rescans)
}

func (o Oracle) run(t *testing.T, seed uint64) (dirs, linked, rescans int) {
	var exclude []string
	if seed%4 == 0 {
		exclude = []string{"*.skip", "a/b/", "/c/d", "x/**/y"}
	}
	a := NewArea(t)
	var gone sync.Map // inode numbers
	churn := func(stream uint64, steps int) {
		c := Churn{rand.New(rand.NewPCG(seed, stream)), a.Root, a.Out, exclude == nil, func(ino uint64) { gone.Store(ino, nil) }}
		for range steps {
			c.Step()
		}
	}
	churn(0, 50) // it does not start empty
	b, lossy := o.Watch(seed)
	w := Start(t, b, a.Root, exclude...)
	m := NewMirror(t, w, exclude)
	var wg sync.WaitGroup
	for i := range uint64(2) {
		wg.Go(func() { churn(1+i, 150) })
	}
	wg.Wait()
	if o.Blind {
		for ino, names := range files(a) {
			if _, ok := gone.Load(ino); ok {
				appendTo(t, a.Path(names[0]))
			}
		}
	}
	w.Prove()
	if diff := m.Diff(); diff != "" {
		t.Fatal(diff)
	}
	all := m.Dirs()
	for _, c := range w.Since(0) {
		if Whole(c) {
			rescans++
		}
	}
	if lossy {
		mark := w.Mark()
		var canaries []string
		for _, dir := range all {
			p := relpath.Join(dir, "canary")
			Must(t, os.WriteFile(filepath.Join(a.Root, p), nil, 0o644))
			canaries = append(canaries, p)
		}
		w.Prove()
		w.Covered(mark, canaries...)
	} else {
		w.Alive(all...)
	}
	o.Quiet(w, all, rescans, lossy)
	if exclude == nil {
		linked = links(w, a, lossy)
	}
	if diff := m.Diff(); diff != "" {
		t.Error(diff)
	}
	Must(t, w.End())
	m.Stop()
	return len(all), linked, rescans
}

// links writes to all files with several names, by two of them and by one that is gone at once, and checks
// that all are reported. It returns how many files there are.
func links(w *Watched, a Area, lossy bool) int {
	w.T.Helper()
	files := files(a)
	inodes := slices.Sorted(maps.Keys(files))
	for i, ino := range inodes[:min(5, len(inodes))] { // more
		link := fmt.Sprint("link-", i)
		a.Link(files[ino][0], link)
		files[ino] = append(files[ino], link)
	}
	check := func(by func(names []string)) {
		w.T.Helper()
		mark := w.Mark()
		var want []string
		for _, names := range files {
			if len(names) > 1 {
				by(names)
				want = append(want, names...)
			}
		}
		w.Prove()
		if lossy {
			w.Covered(mark, want...)
		} else {
			w.Named(mark, want...)
		}
	}
	check(func(names []string) { appendTo(w.T, a.Path(names[0])) })
	check(func(names []string) { appendTo(w.T, a.Path(names[len(names)-1])) })
	check(func(names []string) {
		a.Link(names[0], "gone")
		appendTo(w.T, a.Path("gone"))
		a.Remove("gone")
	})
	several := 0
	for _, names := range files {
		if len(names) > 1 {
			several++
		}
	}
	return several
}

// files returns the names of each file in the tree, by inode number.
func files(a Area) map[uint64][]string {
	all := make(map[uint64][]string)
	Must(a.T, filepath.WalkDir(a.Root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var st unix.Stat_t
			Must(a.T, unix.Lstat(p, &st))
			path, _ := relpath.Below(p, a.Root)
			all[st.Ino] = append(all[st.Ino], path)
		}
		return err
	}))
	return all
}

func appendTo(t testing.TB, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	Must(t, err)
	_, err = f.WriteString("more")
	Must(t, err)
	Must(t, f.Close())
}
