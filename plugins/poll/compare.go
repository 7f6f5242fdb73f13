package poll

import (
	"math"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// verdict is what became of an entry.
type verdict uint8

const (
	unchanged  verdict = iota
	suspect            // nothing differs, but a change may have left no trace
	attributes         // mode, owner, or what only the change time tells of: mostly new links and access times
	content            // and so the attributes
	created            // or of another type than before
	doubtful           // it was not known, or is on another mount: everything in it may differ
	unseen             // it is not known
)

// judge compares what an entry was, nil if there was none, with what it is. Inode numbers that a file
// system gives anew at will only cause reports without need.
func judge(o, e *entry) verdict {
	switch {
	case e.unknown:
		return unseen
	case o == nil:
		return created
	case o.unknown || o.mount != e.mount && e.isDir() && o.isDir():
		return doubtful
	case o.mode&typeMask != e.mode&typeMask:
		return created
	case o.same(e) && o.racy != 0:
		return suspect
	case o.same(e):
		return unchanged
	case e.isDir():
		return attributes
	case o.mtime != e.mtime || o.size != e.size || o.ino != e.ino || o.mount != e.mount:
		return content
	}
	return attributes
}

// compare reports how next differs from what was known of the directory, and fills in subs and found.
func (w *worker) compare(t *task, before, after time.Time) {
	w.remember(t.dir)
	w.subs = w.subs[:0]
	for i := range w.next.entries {
		e := &w.next.entries[i]
		var o *entry
		if j := w.from[i]; j >= 0 {
			o = &t.dir.entries[j]
		}
		v := judge(o, e)
		switch v {
		case unchanged, unseen:
		case suspect:
			e.racy = w.stillRacy(o, before)
		default:
			e.racy = w.racy(e, before, after, t.remote)
		}
		name := w.next.name(i)
		on := t.way[string(name[:len(name)-1])]
		// Of a directory on the way its own attributes do not matter.
		if !t.silent && (on == nil || v == created || v == doubtful || !e.isDir()) {
			w.tell(t, name, e, v)
		}
		if !e.isDir() {
			continue
		}
		var sub *dir
		if o != nil && o.isDir() && o.mount == e.mount {
			sub = w.was[w.from[i]]
		} else {
			sub = &dir{}
		}
		w.subs = append(w.subs, sub)
		rested := w.light && v == unchanged
		if v == unseen || rested && sub.calm(w.since) {
			continue
		}
		w.found = append(w.found, task{
			path:   join(t.path, name[:len(name)-1]),
			dir:    sub,
			mount:  e.mount,
			remote: t.remote, mountPoint: e.mount != t.mount,
			silent: t.silent || v == created || v == doubtful,
			rested: rested,
			way:    on,
		})
	}
	if t.silent {
		return
	}
	for _, j := range w.missing {
		name := t.dir.name(int(j))
		w.later(join(t.path, name[:len(name)-1]), sdk.ScopePath, sdk.OpRemove)
	}
}

// tell reports what became of an entry.
func (w *worker) tell(t *task, name []byte, e *entry, v verdict) {
	if v == unchanged || v == unseen {
		return
	}
	path := join(t.path, name[:len(name)-1])
	switch {
	case v == doubtful:
		w.later(path, sdk.ScopeSubtree, 0)
	case v == created && e.isDir():
		w.later(path, sdk.ScopeSubtree, sdk.OpCreate|sdk.OpClose)
	case v == created:
		w.report(path, sdk.ScopePath, sdk.OpCreate|sdk.OpClose)
	case v == attributes || e.isDir():
		w.report(path, sdk.ScopePath, sdk.OpAttrib)
	default:
		// Whether the writer is done cannot be told. If it is not, the next pass says so.
		w.report(path, sdk.ScopePath, sdk.OpWrite|sdk.OpClose)
	}
}

// remember fills was with the directories known in d.
func (w *worker) remember(d *dir) {
	w.was = w.was[:0]
	if len(d.subs) == 0 {
		return
	}
	k := 0
	for i := range d.entries {
		var sub *dir
		if d.entries[i].isDir() {
			sub = d.subs[k]
			k++
		}
		w.was = append(w.was, sub)
	}
}

// What file systems tell of times. Linux counts in the timer's interrupts, of which there are at least
// 100 a second, and a virtual machine may have to wait for one. FAT counts in two seconds; so may what
// shows no fraction of a second.
const (
	fine   = 100 * time.Millisecond
	coarse = 2 * time.Second
)

// maxSkew is how far the clock of a server may be behind: one that nobody sets is off by minutes.
const maxSkew = time.Hour

// racy returns the tick up to which a further change of e, which is new or has changed, would leave
// all that is known of it as it is; 0 if none can. It was looked at between before and after. Where the
// clock that made its times is a server's nothing is known but that it ticks; only when a tree is read
// for the first time that would mean to doubt all of it.
func (p *pass) racy(e *entry, before, after time.Time, remote bool) uint32 {
	unit := fine
	if e.ctime%int64(time.Second) == 0 {
		unit = coarse
	}
	doubt := int64(math.MinInt64)
	switch {
	case !remote:
		doubt = before.Add(-unit).UnixNano()
	case p.first:
		doubt = before.Add(-maxSkew).UnixNano()
	}
	if max(e.mtime, e.ctime) < doubt {
		return 0
	}
	return p.tree.ticks(after.Add(unit)) + 1
}

// stillRacy returns the racy of an entry that has been racy as o and was looked at again at before or later.
func (p *pass) stillRacy(o *entry, before time.Time) uint32 {
	if p.tree.ticks(before) < o.racy {
		return o.racy
	}
	return 0
}
