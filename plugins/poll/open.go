package poll

import (
	"bytes"
	"strings"
)

// open opens the directory of t, and checks that it is what was seen from its parent.
func (w *worker) open(t *task) (f folder, err error) {
	switch {
	case t.onRoot:
		return w.root, nil
	case w.ctx.Err() != nil:
		if t.parent != nil {
			w.release(t.parent)
		}
		return f, w.ctx.Err()
	case t.parent != nil:
		w.name = append(append(w.name[:0], t.path[strings.LastIndexByte(t.path, '/')+1:]...), 0)
		f, err = t.parent.open(w.name)
		w.release(t.parent)
	default:
		f, err = w.walk(t.path)
	}
	if err != nil {
		return f, err
	}
	if err = w.tree.system.look(f, itself, &w.self, false); err == nil && w.self.mount != t.mount {
		err = errElsewhere
	}
	if err != nil {
		f.close()
	}
	return f, err
}

// walk opens the directory at path, from the root on.
func (w *worker) walk(path string) (folder, error) {
	at := w.root
	for name := range bytes.SplitSeq([]byte(path), []byte("/")) {
		next, err := at.open(append(name[:len(name):len(name)], 0))
		if at != w.root {
			at.close()
		}
		if err != nil {
			return next, err
		}
		at = next
	}
	return at, nil
}
