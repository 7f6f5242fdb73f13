package queue

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/filewatch/filewatch/sdk"
)

const (
	movedAway = sdk.OpRemove | sdk.OpRename
	movedHere = sdk.OpCreate | sdk.OpRename | sdk.OpClose
)

// rename adds what a watcher reports of a rename.
func (q *Queue) rename(from, to string) {
	q.Add(t0, sdk.Change{Path: from, Ops: movedAway})
	q.Add(t0, sdk.Change{Path: to, Ops: movedHere, Scope: sdk.ScopeSubtree, From: from})
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

func (w *world) move(from, to string) {
	w.src[to] = w.src[from]
	delete(w.src, from)
	w.tell(from, movedAway, "")
	w.tell(to, movedHere, from)
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
						w.move(from, to)
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
				if rapid.Bool().Draw(t, "split") {
					w.q.Split(t0, w.batch)
				} else {
					w.q.Return(t0, w.batch)
				}
				w.batch = nil
			},
		})
	})
	if hints == 0 {
		t.Error("no hints at all")
	}
}
