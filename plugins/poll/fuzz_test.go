package poll

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
)

// listing makes a directory's listing out of data: each byte pair is a name out of 32, and what is there.
func listing(data []byte) (t table) {
	seen := make(map[byte]bool)
	for len(data) >= 2 {
		name, kind := data[0]%32, data[1]
		data = data[2:]
		if seen[name] {
			continue
		}
		seen[name] = true
		e := entry{mode: 0o100644, mtime: int64(kind), ctime: int64(kind), ino: uint64(kind >> 2), mount: 1}
		if kind&1 != 0 {
			e.mode = 0o040755
		}
		t.add(bytes.Repeat([]byte{'a' + name%3}, int(name)+1), e)
	}
	return t
}

func (t *table) byName() map[string]entry {
	m := make(map[string]entry)
	for i := range t.entries {
		e := t.entries[i]
		e.end, e.racy = 0, 0
		name := t.name(i)
		m[string(name[:len(name)-1])] = e
	}
	return m
}

// FuzzCompare: whatever a directory was and is, exactly the differences are reported, and what is known
// afterwards is what is there, with each directory that stayed still what it was.
func FuzzCompare(f *testing.F) {
	f.Add([]byte("a1b2c3d5"), []byte("a1b2c3d5"))
	f.Add([]byte("a1b2c3d5"), []byte("b2x1a1d4"))
	f.Add([]byte(""), []byte("a1"))
	f.Add([]byte("a1e3f5b2c3"), []byte("a1f5e3b1c3"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		old, next := listing(a), listing(b)
		d := &dir{table: table{append([]entry(nil), old.entries...), bytes.Clone(old.names)}}
		nodes := make(map[string]*dir)
		for i := range old.entries {
			if old.entries[i].isDir() {
				sub := &dir{newest: int64(i)}
				d.subs = append(d.subs, sub)
				nodes[string(old.name(i))] = sub
			}
		}
		r := newRecorder()
		p := newPass(t.Context(), newTree("/", nil, nil, r), false)
		p.first = false
		w := worker{pass: p, next: table{append([]entry(nil), next.entries...), bytes.Clone(next.names)}}
		w.from, w.missing = d.match(&w.next, nil, nil)
		now := time.Now()
		w.compare(&task{path: "dir", dir: d, mount: 1}, now, now)
		d.keep(&w.next, w.subs)
		p.sendLate()

		was, is := old.byName(), next.byName()
		want := make(map[string]bool)
		for name, e := range is {
			if o, ok := was[name]; !ok || o != e {
				want["dir/"+name] = true
			}
		}
		for name := range was {
			if _, ok := is[name]; !ok {
				want["dir/"+name] = true
			}
		}
		got := make(map[string]bool)
		for _, c := range r.take() {
			if got[c.Path] {
				t.Errorf("%q is reported twice", c.Path)
			}
			got[c.Path] = true
			_, exists := is[c.Path[len("dir/"):]]
			if exists == (c.Ops == sdk.OpRemove) {
				t.Errorf("%+v, there is one: %v", c, exists)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("reports, -want +got\n%s", diff)
		}
		if diff := cmp.Diff(is, d.byName(), cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("known, -want +got\n%s", diff)
		}
		k := 0
		for i := range d.entries {
			name := string(d.name(i))
			if !d.entries[i].isDir() {
				continue
			}
			if o := nodes[name]; o != nil && d.subs[k] != o {
				t.Errorf("%q lost what was known of it", name)
			}
			k++
		}
		if k != len(d.subs) {
			t.Errorf("%d directories, %d nodes", k, len(d.subs))
		}
	})
}

// TestDrop leaves out what was gone at any place.
func TestDrop(t *testing.T) {
	for mask := range 1 << 5 {
		var w worker
		var want []string
		var missing int
		for i := range 5 {
			name := fmt.Sprintf("name%0*d", i+1, i)
			gone := mask>>i&1 != 0
			w.next.add([]byte(name), entry{gone: gone, ino: uint64(i)})
			w.from = append(w.from, int32(i%2-1)*int32(i))
			if !gone {
				want = append(want, name)
			} else if w.from[i] >= 0 {
				missing++
			}
		}
		w.drop()
		var got []string
		for i := range w.next.entries {
			name := w.next.name(i)
			got = append(got, string(name[:len(name)-1]))
			if want := int32(w.next.entries[i].ino); w.from[i] != (want%2-1)*want {
				t.Errorf("%05b: %q was at %d", mask, name, w.from[i])
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(w.missing) != missing || len(w.from) != len(got) {
			t.Errorf("%05b: %s, missing %v", mask, diff, w.missing)
		}
	}
}
