package poll

import (
	"bytes"
	"math"
	"slices"
)

// The types in the mode of an entry, as in stat(2).
const (
	typeMask = 0o170000
	typeDir  = 0o040000
)

// entry is what is known of one name in a directory. A tree of a million has a million of these.
type entry struct {
	mtime, ctime int64 // nanoseconds since the epoch
	ino          uint64
	size         uint64 // of a device its number
	uid, gid     uint32
	mount        uint32 // device and mount, folded
	// racy is the tick of the tree's clock up to which a change may have left no trace; 0 if none could.
	racy    uint32
	end     uint32 // of the name in names, behind its NUL
	mode    uint16 // with the type; 0 when it was never seen
	unknown bool   // it could not be looked at, and is what it was before
	gone    bool   // in a new listing only: it is no longer there
}

func (e *entry) isDir() bool { return e.mode&typeMask == typeDir }

// same reports whether nothing tells e from o.
func (e *entry) same(o *entry) bool {
	return e.mtime == o.mtime && e.ctime == o.ctime && e.ino == o.ino && e.size == o.size && e.uid == o.uid &&
		e.gid == o.gid && e.mount == o.mount && e.mode == o.mode
}

// table is a list of entries. Their names, each with a NUL, are kept one after the other in one piece,
// in the order in which the directory was read: it does not change as long as nothing else does, so that
// nothing has to be sorted or searched.
type table struct {
	entries []entry
	names   []byte
}

// name returns the name of the entry at i with its NUL.
func (t *table) name(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = t.entries[i-1].end
	}
	return t.names[start:t.entries[i].end]
}

// add appends an entry; name comes without a NUL.
func (t *table) add(name []byte, e entry) {
	t.names = append(append(t.names, name...), 0)
	e.end = uint32(len(t.names))
	t.entries = append(t.entries, e)
}

func (t *table) reset() { t.entries, t.names = t.entries[:0], t.names[:0] }

// dir is what is known of what is in a directory.
type dir struct {
	table
	subs   []*dir // one for each directory in entries, in their order
	newest int64  // change time in it, directories aside; the latest possible when a look was not enough
	lost   bool   // it could not be read, and is what it was before
}

// calm reports whether a light pass need not visit d, when d itself has not changed and files that have
// not changed since then are cold.
func (d *dir) calm(since int64) bool { return len(d.subs) == 0 && d.newest < since && !d.lost }

// hot reports whether a light pass has to look at e.
func (e *entry) hot(since int64) bool {
	return e.isDir() || e.unknown || e.racy != 0 || e.ctime >= since
}

// latest returns the latest change time of what is no directory, or later than any if something was
// not looked at for good.
func (t *table) latest() int64 {
	newest := int64(math.MinInt64)
	for i := range t.entries {
		e := &t.entries[i]
		if e.unknown || e.racy != 0 {
			return math.MaxInt64
		}
		if !e.isDir() {
			newest = max(newest, e.ctime)
		}
	}
	return newest
}

// match finds the names of next in t. It appends to from, for each entry of next, its place in t, or -1
// for a new one, and to missing the places in t of names that next does not have. Names that next has
// twice are new the second time.
func (t *table) match(next *table, from, missing []int32) ([]int32, []int32) {
	a, b := len(t.entries), len(next.entries)
	first := 0
	for first < a && first < b && bytes.Equal(t.name(first), next.name(first)) {
		from = append(from, int32(first))
		first++
	}
	if first == a && first == b {
		return from, missing
	}
	for a > first && b > first && bytes.Equal(t.name(a-1), next.name(b-1)) {
		a, b = a-1, b-1
	}
	olds, news := t.sorted(first, a), next.sorted(first, b)
	base := len(from) - first
	for range next.entries[first:] {
		from = append(from, -1)
	}
	for _, j := range news {
		for len(olds) > 0 && bytes.Compare(t.name(int(olds[0])), next.name(int(j))) < 0 {
			missing = append(missing, olds[0])
			olds = olds[1:]
		}
		if len(olds) > 0 && bytes.Equal(t.name(int(olds[0])), next.name(int(j))) {
			from[base+int(j)] = olds[0]
			olds = olds[1:]
		}
	}
	missing = append(missing, olds...)
	for i := b; i < len(next.entries); i++ {
		from[base+i] = int32(a + i - b)
	}
	return from, missing
}

// sorted returns the places from lo to hi in the order of the names.
func (t *table) sorted(lo, hi int) []int32 {
	places := make([]int32, 0, hi-lo)
	for i := lo; i < hi; i++ {
		places = append(places, int32(i))
	}
	slices.SortFunc(places, func(i, j int32) int { return bytes.Compare(t.name(int(i)), t.name(int(j))) })
	return places
}

// keep makes next, which may be scratch, what is known of d.
func (d *dir) keep(next *table, subs []*dir) {
	if !bytes.Equal(d.names, next.names) {
		d.names = append(make([]byte, 0, len(next.names)), next.names...)
	}
	if len(d.entries) == len(next.entries) {
		copy(d.entries, next.entries)
	} else {
		d.entries = append(make([]entry, 0, len(next.entries)), next.entries...)
	}
	if !slices.Equal(d.subs, subs) {
		d.subs = append(make([]*dir, 0, len(subs)), subs...)
	}
	d.newest = d.latest()
	d.lost = false
}
