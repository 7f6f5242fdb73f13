package queue

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/filewatch/filewatch/sdk"
)

const movedHere = sdk.OpCreate | sdk.OpRename | sdk.OpClose

// rename adds what a watcher reports of a rename.
func (q *Queue) rename(from, to string) {
	q.Add(t0, sdk.Change{Path: from, Ops: movedAway})
	q.Add(t0, sdk.Change{Path: to, Ops: movedHere, Scope: sdk.ScopeSubtree, From: from})
}

// mkdir adds what a watcher reports of a new directory.
func (q *Queue) mkdir(path string) {
	q.Add(t0, sdk.Change{Path: path, Ops: sdk.OpCreate | sdk.OpClose, Scope: sdk.ScopeSubtree})
}

// renames returns the hints of b, as "from>to".
func (b *Batch) renames() []string {
	var list []string
	for _, c := range b.Changes() {
		if c.From != "" {
			list = append(list, c.From+">"+c.Path)
		}
	}
	slices.Sort(list)
	return list
}

func TestRenames(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(q *Queue)
		want []string
	}{
		{"one", func(q *Queue) { q.rename("a", "b") }, []string{"a>b"}},
		{"of what was written", func(q *Queue) {
			q.Add(t0, sdk.Change{Path: "a", Ops: sdk.OpWrite | sdk.OpClose})
			q.rename("a", "b")
		}, []string{"a>b"}},
		{"and then written", func(q *Queue) {
			q.rename("a", "b")
			q.Add(t0, sdk.Change{Path: "b", Ops: sdk.OpWrite})
		}, []string{"a>b"}},
		{"when something else is under the former name by then", func(q *Queue) {
			q.Add(t0, sdk.Change{Path: "a", Ops: movedAway, Scope: sdk.ScopeSubtree})
			q.Add(t0, sdk.Change{Path: "b", Ops: movedHere, Scope: sdk.ScopeSubtree, From: "a"})
			q.rename("c", "a")
		}, []string{"a>b", "c>a"}},
		{"of what was new", func(q *Queue) {
			q.Add(t0, sdk.Change{Path: "a", Ops: sdk.OpCreate | sdk.OpClose})
			q.rename("a", "b")
		}, nil},
		{"of what was in doubt", func(q *Queue) {
			q.Add(t0, subtree("a"))
			q.rename("a", "b")
		}, nil},
		{"below what was in doubt", func(q *Queue) {
			q.Add(t0, subtree("d"))
			q.rename("d/a", "b")
		}, nil},
		{"below what is in doubt then", func(q *Queue) {
			q.rename("d/a", "b")
			q.Add(t0, subtree("d"))
		}, nil},
		{"twice", func(q *Queue) { q.rename("a", "b"); q.rename("b", "c") }, []string{"a>c"}},
		// As of an exchange. The transport sees that nothing is at b.
		{"and back", func(q *Queue) { q.rename("a", "b"); q.rename("b", "a") }, []string{"a>b"}},
		{"exchange", func(q *Queue) { q.rename("z", "a"); q.rename("a", "b"); q.rename("b", "a") }, []string{"z>b"}},
		{"swap", func(q *Queue) { q.rename("a", "t"); q.rename("b", "a"); q.rename("t", "b") }, []string{"a>b", "b>a"}},
		{"old, and new in its place", func(q *Queue) { q.rename("live", "old"); q.rename("new", "live") },
			[]string{"live>old", "new>live"}},
		{"a log that is rotated", func(q *Queue) {
			q.rename("log.1", "log.2")
			q.rename("log", "log.1")
			q.Add(t0, sdk.Change{Path: "log", Ops: sdk.OpCreate})
		}, []string{"log.1>log.2", "log>log.1"}},
		{"something else takes its place", func(q *Queue) {
			q.rename("a", "b")
			q.Add(t0, sdk.Change{Path: "b", Ops: sdk.OpCreate})
		}, nil},
		{"into a new directory", func(q *Queue) { q.mkdir("n"); q.rename("a", "n/a") }, []string{"a>n/a"}},
		{"several into a new directory", func(q *Queue) {
			q.mkdir("n")
			q.rename("a", "n/a")
			q.rename("b", "n/b")
			q.rename("d/c", "n/c")
		}, []string{"a>n/a", "b>n/b", "d/c>n/c"}},
		{"deep into a new directory", func(q *Queue) { q.mkdir("n"); q.mkdir("n/x"); q.mkdir("n/x/y"); q.rename("a", "n/x/y/a") },
			[]string{"a>n/x/y/a"}},
		{"into new directories, one in the other", func(q *Queue) {
			q.mkdir("n")
			q.rename("a", "n/a")
			q.mkdir("n/x")
			q.rename("b", "n/x/b")
		}, []string{"a>n/a", "b>n/x/b"}},
		{"into a new directory, and then written", func(q *Queue) {
			q.mkdir("n")
			q.rename("a", "n/a")
			q.Add(t0, sdk.Change{Path: "n/a", Ops: sdk.OpWrite | sdk.OpClose}, sdk.Change{Path: "n/a/x", Ops: sdk.OpWrite | sdk.OpClose})
		}, []string{"a>n/a"}},
		{"into a new directory, and out of it", func(q *Queue) { q.mkdir("n"); q.rename("a", "n/a"); q.rename("n/a", "b") },
			[]string{"a>b"}},
		{"into a new directory, and there", func(q *Queue) { q.mkdir("n"); q.rename("a", "n/a"); q.rename("n/a", "n/b") },
			[]string{"a>n/b"}},
		{"of what is new, in a new directory", func(q *Queue) { q.mkdir("n"); q.rename("n/a", "n/b") }, nil},
		{"into a new directory that is replaced", func(q *Queue) { q.mkdir("n"); q.rename("a", "n/a"); q.mkdir("n") }, nil},
		{"into a new directory, one in which is replaced", func(q *Queue) {
			q.mkdir("n")
			q.rename("a", "n/x/a")
			q.mkdir("n/x")
		}, nil},
		{"into a new directory, where something else takes its place", func(q *Queue) {
			q.mkdir("n")
			q.rename("a", "n/a")
			q.Add(t0, sdk.Change{Path: "n/a", Ops: sdk.OpCreate | sdk.OpClose})
		}, nil},
		{"old, and into a new directory in its place", func(q *Queue) { q.rename("n", "old"); q.mkdir("n"); q.rename("a", "n/a") },
			[]string{"a>n/a", "n>old"}},
		{"told again", func(q *Queue) { q.rename("a", "b"); q.rename("a", "b") }, []string{"a>b"}},
		{"into a new directory, told again", func(q *Queue) { q.mkdir("n"); q.rename("a", "n/a"); q.rename("a", "n/a") }, []string{"a>n/a"}},
		{"of something else by the same names", func(q *Queue) {
			q.rename("a", "b")
			q.Add(t0, sdk.Change{Path: "a", Ops: sdk.OpCreate})
			q.rename("a", "b")
		}, nil},
		{"two of one name", func(q *Queue) { q.rename("a", "b"); q.rename("a", "c") }, []string{"a>b"}},
		{"nothing known of the former name", func(q *Queue) {
			q.Add(t0, sdk.Change{Path: "b", Ops: movedHere, From: "a"})
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := New(config())
			test.do(q)
			q.Hurry(t0)
			if got := q.Take(t0).renames(); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// Both names of a rename go together. What was written under another name before, as editors do it, goes at once.
func TestRenameWaits(t *testing.T) {
	q := New(config())
	q.Add(t0, sdk.Change{Path: "tmp", Ops: sdk.OpCreate | sdk.OpWrite | sdk.OpClose})
	q.rename("tmp", "f")
	mustTake(t, q, t0, "f/** tmp")

	q = New(config())
	q.rename("a", "b")
	if b := q.Take(at(19 * ms)); b != nil {
		t.Fatalf("%q went early", show(b.Changes()))
	}
	b := mustTake(t, q, at(20*ms), "a b/**")
	// An outage changes nothing about that.
	q.Return(t0, b)
	b = q.Take(at(20 * ms))
	if got := b.renames(); !slices.Equal(got, []string{"a>b"}) {
		t.Errorf("%q after an outage", got)
	}
	// What was sent in vain is sent as if it had not been renamed.
	q.Done(t0, b, failures("b"))
	q.Add(t0, sdk.Change{Path: "a", Ops: movedAway})
	q.Add(t0, sdk.Change{Path: "b", Ops: sdk.OpWrite | sdk.OpClose})
	if got := q.Take(t0).renames(); len(got) > 0 {
		t.Errorf("%q after a failure", got)
	}
}

// A new directory waits as long as what is moved there first does, and takes along what is moved there then. When
// something in it is due all go at once.
func TestNewDirectoryWaits(t *testing.T) {
	late := func(q *Queue, after time.Duration, from, to string) {
		q.Add(at(after), sdk.Change{Path: from, Ops: movedAway})
		q.Add(at(after), sdk.Change{Path: to, Ops: movedHere, From: from})
	}
	q := New(config())
	q.mkdir("n")
	late(q, 0, "a", "n/a")
	late(q, 15*ms, "b", "n/b")
	if b := q.Take(at(19 * ms)); b != nil {
		t.Fatalf("%q went early", show(b.Changes()))
	}
	b := mustTake(t, q, at(20*ms), "a b n/** n/a n/b")
	if got := b.renames(); !slices.Equal(got, []string{"a>n/a", "b>n/b"}) {
		t.Errorf("%q", got)
	}
	// What is moved there while it is out goes with the next batch, and with it if it comes back.
	late(q, 21*ms, "c", "n/c")
	q.Return(at(22*ms), b)
	b = mustTake(t, q, at(60*ms), "a b c n/** n/a n/b n/c")
	if got := b.renames(); !slices.Equal(got, []string{"a>n/a", "b>n/b", "c>n/c"}) {
		t.Errorf("%q after an outage", got)
	}
	// But not if it is another directory by then.
	q.Add(at(61*ms), subtree("n"))
	q.Return(at(62*ms), b)
	if got := q.Take(at(90 * ms)).renames(); len(got) > 0 {
		t.Errorf("%q after an outage in which the directory was replaced", got)
	}

	q = New(config())
	q.mkdir("n")
	late(q, 0, "a", "n/a")
	q.Add(at(ms), sdk.Change{Path: "n/new", Ops: sdk.OpCreate | sdk.OpClose})
	b = mustTake(t, q, at(ms), "a n/** n/a")
	if got := b.renames(); !slices.Equal(got, []string{"a>n/a"}) {
		t.Errorf("%q", got)
	}
	q.Done(at(2*ms), b, failures("n/a"))
	if got := q.pending(); got != "n n/a/**" {
		t.Errorf("pending %q", got)
	}
}

// What was left out of a batch waits, and keeps the hint that comes, or has come before.
func TestDefer(t *testing.T) {
	late := func(q *Queue, after time.Duration, from, to string) {
		q.Add(at(after), sdk.Change{Path: from, Ops: movedAway})
		q.Add(at(after), sdk.Change{Path: to, Ops: movedHere, Scope: sdk.ScopeSubtree, From: from})
	}
	q := New(config())
	q.mkdir("n")
	b := mustTake(t, q, t0, "n/**")
	late(q, ms, "a", "n/a")
	q.Defer(at(5*ms), b, []string{"n/a", "n/b", "n/c"})
	q.Done(at(5*ms), b, nil)
	late(q, 6*ms, "b", "n/b")
	b = mustTake(t, q, at(25*ms), "a b n/a/** n/b/** n/c/**")
	if got := b.renames(); !slices.Equal(got, []string{"a>n/a", "b>n/b"}) {
		t.Errorf("%q", got)
	}
	if !b.Oldest.Equal(t0) {
		t.Errorf("dirty since +%v", b.Oldest.Sub(t0))
	}
	// What is removed meanwhile may be what is there now, and goes no sooner.
	q.Add(at(26*ms), sdk.Change{Path: "file", Ops: movedAway})
	q.Defer(at(29*ms), b, []string{"n/c", "n/d"})
	q.Done(at(29*ms), b, nil)
	if b := q.Take(at(45 * ms)); b != nil {
		t.Fatalf("%q went early", show(b.Changes()))
	}
	b = mustTake(t, q, at(46*ms), "file n/c/** n/d/**")
	q.Defer(at(46*ms), b, []string{"n/c"})
	q.Done(at(46*ms), b, nil)
	q.Add(at(47*ms), sdk.Change{Path: "file", Ops: sdk.OpRemove}, sdk.Change{Path: "n/c", Ops: sdk.OpRemove})
	b = mustTake(t, q, at(47*ms), "file n/c/**")
	q.Done(at(48*ms), b, nil)
	q.Add(at(48*ms), sdk.Change{Path: "m", Ops: sdk.OpCreate | sdk.OpRemove, Scope: sdk.ScopeSubtree})
	b = mustTake(t, q, at(48*ms), "m/**")
	q.Defer(at(49*ms), b, []string{"m/a"})
	q.Done(at(49*ms), b, nil)
	late(q, 49*ms, "gone", "m/a")
	q.Add(at(49*ms), sdk.Change{Path: "m", Ops: sdk.OpRemove})
	b = mustTake(t, q, at(49*ms), "gone m m/a/**")
	// What the destination has there, if anything, is not what was left out.
	q.Defer(at(50*ms), b, []string{"n/c"})
	q.Done(at(50*ms), b, nil)
	late(q, 50*ms, "n/c", "c")
	if got := q.Take(at(80 * ms)).renames(); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// A directory that is removed waits for nothing, and takes along what was moved out of it, with its new name.
func TestMovedOutOfWhatIsRemoved(t *testing.T) {
	q := New(config())
	q.rename("d/e/a", "b")
	q.Add(t0, sdk.Change{Path: "d/e", Ops: sdk.OpRemove}, sdk.Change{Path: "d", Ops: sdk.OpRemove})
	b := mustTake(t, q, t0, "b/** d d/e d/e/a")
	if got := b.renames(); !slices.Equal(got, []string{"d/e/a>b"}) {
		t.Errorf("%q", got)
	}
}

// What waits longer because of another rename goes along.
func TestRenamesGoTogether(t *testing.T) {
	q := New(config())
	q.rename("live", "old")
	q.Add(at(5*ms), sdk.Change{Path: "new", Ops: movedAway})
	q.Add(at(5*ms), sdk.Change{Path: "live", Ops: movedHere, Scope: sdk.ScopeSubtree, From: "new"})
	b := q.Take(at(20 * ms))
	if got := b.renames(); !slices.Equal(got, []string{"live>old", "new>live"}) {
		t.Errorf("%q in %q", got, show(b.Changes()))
	}
}

// world is a source and a destination of objects with names, and what a queue is told of the source.
type world struct {
	q     *Queue
	src   map[string]int // name → object
	dst   map[string]int
	made  int
	batch *Batch
}

func (w *world) tell(name string, ops sdk.Op, from string) {
	w.q.Add(t0, sdk.Change{Path: name, Ops: ops, From: from})
}

func (w *world) move(from, to string, again bool) {
	w.src[to] = w.src[from]
	delete(w.src, from)
	w.tell(from, movedAway, "")
	w.tell(to, movedHere, from)
	if again {
		w.tell(from, movedAway, "")
		w.tell(to, movedHere, from)
	}
}

func (w *world) exchange(a, b string) {
	w.src[a], w.src[b] = w.src[b], w.src[a]
	w.tell(a, movedAway, "")
	w.tell(b, movedHere, a)
	w.tell(b, movedAway, "")
	w.tell(a, movedHere, b)
}

// send makes a name at the destination what it is at the source.
func (w *world) send(name string) {
	if o, ok := w.src[name]; ok {
		w.dst[name] = o
	} else {
		delete(w.dst, name)
	}
}

// take checks that no hint of a batch says what is not so, and acts on some.
func (w *world) take(t *rapid.T) {
	w.batch = w.q.Take(t0.Add(100 * ms))
	if w.batch == nil {
		return
	}
	for _, c := range w.batch.Changes() {
		was, now := w.dst[c.From], w.src[c.Path]
		if c.From != "" && was != 0 && now != 0 && was != now {
			t.Fatalf("%s was not %s: %d, %d", c.Path, c.From, now, was)
		}
	}
	for _, c := range w.batch.Changes() {
		free := w.dst[c.Path] == 0 && !slices.ContainsFunc(w.batch.Changes(), func(o sdk.Change) bool { return o.From == c.Path })
		if c.From != "" && free && rapid.Bool().Draw(t, "rename") {
			w.dst[c.Path] = w.dst[c.From]
			delete(w.dst, c.From)
		}
	}
}

// giveBack returns the batch, in halves or not.
func (w *world) giveBack(t *rapid.T) {
	if rapid.Bool().Draw(t, "split") {
		w.q.Split(t0, w.batch)
	} else {
		w.q.Return(t0, w.batch)
	}
	w.batch = nil
}

// A hint is never about another object than the one that has the name now, whatever happens in whatever
// order, is tried in vain or in part.
func TestHintsAreTrue(t *testing.T) {
	var names []string
	for i := range 6 {
		names = append(names, fmt.Sprint("d/", i))
	}
	hints := 0
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			q:   New(Config{Settle: 20 * ms, MaxDelay: 100 * ms, Limit: rapid.SampledFrom([]int{4, 1000}).Draw(t, "limit"), BatchPaths: rapid.IntRange(1, 8).Draw(t, "batch"), RetryMin: 30 * ms}),
			src: map[string]int{}, dst: map[string]int{},
		}
		for _, n := range names[:4] {
			w.made++
			w.src[n], w.dst[n] = w.made, w.made
		}
		name := rapid.SampledFrom(names)
		there := func(t *rapid.T, do func(n string)) {
			if n := name.Draw(t, "name"); w.src[n] != 0 {
				do(n)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"move": func(t *rapid.T) {
				there(t, func(from string) {
					if to := name.Draw(t, "to"); to != from {
						w.move(from, to, rapid.Bool().Draw(t, "again"))
					}
				})
			},
			"exchange": func(t *rapid.T) {
				there(t, func(a string) {
					there(t, func(b string) {
						if a != b {
							w.exchange(a, b)
						}
					})
				})
			},
			"create": func(t *rapid.T) {
				n := name.Draw(t, "name")
				w.made++
				w.src[n] = w.made
				w.tell(n, sdk.OpCreate|sdk.OpClose, "")
			},
			"write": func(t *rapid.T) { there(t, func(n string) { w.tell(n, sdk.OpWrite|sdk.OpClose, "") }) },
			"remove": func(t *rapid.T) {
				there(t, func(n string) { delete(w.src, n); w.tell(n, sdk.OpRemove, "") })
			},
			"lose": func(t *rapid.T) { // what happens is not told, but that it may have
				there(t, func(from string) {
					to := name.Draw(t, "to")
					w.src[to], w.src[from] = w.src[from], w.made+1
					w.made++
					if rapid.Bool().Draw(t, "dir") {
						w.q.Add(t0, subtree("d"))
					} else {
						w.tell(to, 0, "")
						w.tell(from, 0, "")
					}
				})
			},
			"take": func(t *rapid.T) {
				if w.batch == nil {
					w.take(t)
					if w.batch != nil {
						hints += len(w.batch.renames())
					}
				}
			},
			"done": func(t *rapid.T) {
				if w.batch == nil {
					return
				}
				failed := rapid.SliceOfNDistinct(name, 0, 2, rapid.ID).Draw(t, "failed")
				for _, n := range names {
					if covered(w.batch.Changes(), n) && !slices.Contains(failed, n) {
						w.send(n)
					}
				}
				w.q.Done(t0, w.batch, failures(failed...))
				w.batch = nil
			},
			"return": func(t *rapid.T) {
				if w.batch == nil {
					return
				}
				for _, n := range names {
					if covered(w.batch.Changes(), n) && rapid.Bool().Draw(t, "sent") {
						w.send(n)
					}
				}
				w.giveBack(t)
			},
		})
	})
	if hints == 0 {
		t.Error("no hints at all")
	}
}

// The same with directories: what is in one is told, or only that the directory is a new one.
func TestHintsBelowSubtreesAreTrue(t *testing.T) {
	var names []string
	for _, dir := range []string{"", "d/", "e/", "e/f/"} {
		names = append(names, dir+"1", dir+"2")
	}
	dirs := []string{"d", "e", "e/f"}
	below := 0
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			q: New(Config{
				Settle: 20 * ms, MaxDelay: 100 * ms, Limit: rapid.SampledFrom([]int{4, 1000}).Draw(t, "limit"),
				BatchPaths: rapid.IntRange(1, 10).Draw(t, "batch"), RetryMin: 30 * ms, Rand: func() float64 { return 0.5 },
			}),
			src: map[string]int{}, dst: map[string]int{},
		}
		for _, n := range names[:4] {
			w.made++
			w.src[n], w.dst[n] = w.made, w.made
		}
		name := rapid.SampledFrom(names)
		there := func(t *rapid.T, do func(n string)) {
			if n := name.Draw(t, "name"); w.src[n] != 0 {
				do(n)
			}
		}
		sent := func(t *rapid.T, mayFail bool, failed []string) {
			for _, n := range names {
				hit := slices.ContainsFunc(failed, func(f string) bool { return under(n, f) })
				if covered(w.batch.Changes(), n) && !hit && (!mayFail || rapid.Bool().Draw(t, "sent")) {
					w.send(n)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { checkStructure(t, w.q) },
			"move": func(t *rapid.T) {
				there(t, func(from string) {
					if to := name.Draw(t, "to"); to != from {
						w.move(from, to, rapid.Bool().Draw(t, "again"))
					}
				})
			},
			"create": func(t *rapid.T) {
				n := name.Draw(t, "name")
				w.made++
				w.src[n] = w.made
				w.tell(n, sdk.OpCreate|sdk.OpClose, "")
			},
			"new directory": func(t *rapid.T) { // what is in it already is not told
				dir := rapid.SampledFrom(dirs).Draw(t, "dir")
				for _, n := range names {
					if !under(n, dir) {
						continue
					}
					delete(w.src, n)
					if rapid.Bool().Draw(t, "full") {
						w.made++
						w.src[n] = w.made
					}
				}
				w.q.mkdir(dir)
				for range 2 {
					there(t, func(from string) {
						if to := dir + "/" + rapid.SampledFrom([]string{"1", "2"}).Draw(t, "to"); to != from {
							w.move(from, to, rapid.Bool().Draw(t, "again"))
						}
					})
				}
			},
			"write":  func(t *rapid.T) { there(t, func(n string) { w.tell(n, sdk.OpWrite|sdk.OpClose, "") }) },
			"remove": func(t *rapid.T) { there(t, func(n string) { delete(w.src, n); w.tell(n, sdk.OpRemove, "") }) },
			"take": func(t *rapid.T) {
				if w.batch != nil {
					return
				}
				w.take(t)
				if w.batch != nil {
					below += len(w.batch.moved)
				}
			},
			"done": func(t *rapid.T) {
				if w.batch == nil {
					return
				}
				failed := rapid.SliceOfNDistinct(rapid.SampledFrom(append(names, dirs...)), 0, 2, rapid.ID).Draw(t, "failed")
				deferred := rapid.SliceOfNDistinct(name, 0, 2, rapid.ID).Draw(t, "deferred")
				deferred = slices.DeleteFunc(deferred, func(n string) bool { return !covered(w.batch.Changes(), n) })
				sent(t, false, append(failed, deferred...))
				w.q.Defer(t0, w.batch, deferred)
				w.q.Done(t0, w.batch, failures(failed...))
				w.batch = nil
			},
			"return": func(t *rapid.T) {
				if w.batch == nil {
					return
				}
				sent(t, true, nil)
				w.giveBack(t)
			},
		})
	})
	if below == 0 {
		t.Error("no hints below a subtree at all")
	}
}
