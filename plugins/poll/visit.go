package poll

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

// block is how many entries are looked at between looks at whether to go on, and the least that is
// worth help: it takes well under a millisecond on a local disk.
const block = 512

// worker visits one directory after the other. What it holds is scratch.
type worker struct {
	*pass
	found []task // where the visit leads to

	buf     []byte
	name    []byte  // of the directory, with its NUL
	self    entry   // the directory
	next    table   // what is in the directory now
	from    []int32 // where each of it was, or -1
	missing []int32 // where was what is not found now
	subs    []*dir  // of next
	was     []*dir  // for each entry before, if it is a directory
}

// visit brings what is known of a directory in step with what is in it.
func (w *worker) visit(t *task) {
	w.tree.progress.Add(1)
	f, err := w.open(t)
	if err != nil {
		w.unknown(t, err)
		return
	}
	if t.mountPoint {
		if t.remote = w.tree.system.remote(f); t.remote {
			w.tree.served.Store(true)
		}
	}
	before := time.Now()
	if err = w.fill(t, f); err != nil || w.ctx.Err() != nil {
		w.shut(t, f)
		if w.ctx.Err() == nil {
			w.unknown(t, err)
		}
		return
	}
	if t.dir.lost && !t.silent {
		w.later(t.path, sdk.ScopeSubtree, 0)
		t.silent = true
	}
	w.linger(t, f)
	w.compare(t, before, time.Now())
	t.dir.keep(&w.next, w.subs)
	w.hold(t, f, w.found)
	if cap(w.next.entries) > 1<<16 { // once in a while, for one huge directory
		w.next, w.from, w.was = table{}, nil, nil
	}
}

// unknown records that what is in a directory is not known. That it is not where it was a moment ago
// usually means that it is on its way: who changed its parent is found by the next pass.
func (w *worker) unknown(t *task, err error) {
	if !vanished(err) || t.dir.lost {
		w.fail(t.path, err)
	}
	t.dir.lost = true
}

// fill reads the directory that f is open on into next.
func (w *worker) fill(t *task, f folder) error {
	w.missing = w.missing[:0]
	if t.rested && !t.dir.lost {
		if complete, err := w.refresh(t, f); complete || err != nil {
			return err
		}
	}
	w.next.reset()
	if err := w.read(t, f); err != nil {
		return err
	}
	w.from, w.missing = t.dir.match(&w.next, w.from[:0], w.missing)
	if err := w.look(t, f, false); err != nil {
		return err
	}
	w.confirm(t, f)
	w.drop()
	return nil
}

// read makes next the names in a directory, or just those on the way: whether they are there is told by
// the look at them.
func (w *worker) read(t *task, f folder) error {
	if t.way != nil {
		for _, name := range t.way.names() {
			w.next.add([]byte(name), entry{})
		}
		return nil
	}
	return w.tree.system.list(f, w.buf, func(name []byte, mode uint16) {
		if mode == 0 || !w.excluded(t, name, mode) {
			w.next.add(name, entry{mode: mode})
		}
	})
}

// refresh makes next what was known, with a new look at what light passes look at. It reports false when
// something is no longer there, so that the directory has to be read.
func (w *worker) refresh(t *task, f folder) (complete bool, err error) {
	w.next.entries = append(w.next.entries[:0], t.dir.entries...)
	w.next.names = append(w.next.names[:0], t.dir.names...)
	w.from = w.from[:0]
	for i := range w.next.entries {
		w.from = append(w.from, int32(i))
	}
	if err := w.look(t, f, true); err != nil {
		return false, err
	}
	for i := range w.next.entries {
		if w.next.entries[i].gone {
			return false, nil
		}
	}
	return true, nil
}

// look looks at the entries of next, or just the hot ones. The error is one of the whole directory.
func (w *worker) look(t *task, f folder, hot bool) error {
	n := len(w.next.entries)
	if n <= block {
		return w.lookAt(t, f, hot, 0, n)
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		begin int
		first error
	)
	work := func() {
		for w.ctx.Err() == nil {
			mu.Lock()
			lo := begin
			begin = min(n, begin+block)
			stop := lo == n || first != nil
			mu.Unlock()
			if stop {
				return
			}
			w.tree.progress.Add(1)
			if err := w.lookAt(t, f, hot, lo, min(n, lo+block)); err != nil {
				mu.Lock()
				first = err
				mu.Unlock()
			}
		}
	}
	for range min(n/block, cap(w.spare)) {
		select {
		case w.spare <- struct{}{}:
			wg.Go(func() {
				defer func() { <-w.spare }()
				w.timed(work)
			})
		default:
		}
	}
	work()
	wg.Wait()
	return first
}

// lookAt looks at some of the entries of next.
func (w *worker) lookAt(t *task, f folder, hot bool, lo, hi int) error {
	for i := lo; i < hi; i++ {
		e := &w.next.entries[i]
		if hot && !e.hot(w.since) {
			continue
		}
		name, told := w.next.name(i), e.mode&typeMask // 0: the file system did not tell
		err := w.tree.system.look(f, name, e, t.remote)
		switch {
		case err == nil:
			e.gone = told != e.mode&typeMask && w.excluded(t, name[:len(name)-1], e.mode)
		case err == unix.ENOENT:
			e.gone = true
		case denied(err) && denied(w.tree.system.look(f, []byte(".\x00"), new(entry), false)):
			return err // it may be listed but not entered
		default:
			end := e.end
			*e = entry{}
			if j := w.from[i]; j >= 0 {
				*e = t.dir.entries[j]
			}
			e.end, e.unknown = end, true
			w.fail(join(t.path, name[:len(name)-1]), err)
		}
	}
	return nil
}

// confirm looks at what is missing: file systems have been seen to leave out names that are there. What
// is there is added to next; the rest stays in missing.
func (w *worker) confirm(t *task, f folder) {
	gone := w.missing[:0]
	for _, j := range w.missing {
		name := t.dir.name(int(j))
		e := t.dir.entries[j]
		err := w.tree.system.look(f, name, &e, t.remote)
		if err == unix.ENOENT || err == nil && w.excluded(t, name[:len(name)-1], e.mode) {
			gone = append(gone, j)
			continue
		}
		if err != nil {
			e.unknown = true
			w.fail(join(t.path, name[:len(name)-1]), err)
		}
		w.next.add(name[:len(name)-1], e)
		w.from = append(w.from, j)
	}
	w.missing = gone
}

// drop removes from next what was gone when it was looked at.
func (w *worker) drop() {
	kept, end, start := 0, 0, 0
	for i := range w.next.entries {
		e := w.next.entries[i]
		name := w.next.names[start:e.end]
		start = int(e.end)
		if e.gone {
			if w.from[i] >= 0 {
				w.missing = append(w.missing, w.from[i])
			}
			continue
		}
		if kept < i {
			copy(w.next.names[end:], name)
			e.end = uint32(end + len(name))
			w.next.entries[kept], w.from[kept] = e, w.from[i]
		}
		end = int(e.end)
		kept++
	}
	w.next.entries, w.next.names, w.from = w.next.entries[:kept], w.next.names[:end], w.from[:kept]
}

func (w *worker) excluded(t *task, name []byte, mode uint16) bool {
	return w.tree.exclude != nil && w.tree.exclude.Match(join(t.path, name), mode&typeMask == typeDir)
}
