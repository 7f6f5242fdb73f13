package poll

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

// lingering is a name that its server no longer has, but the kernel does, in its cache: with FUSE for a second
// unless it is told otherwise. Programs still find it, so that a transfer would take it for a file that is there.
type lingering struct {
	path  string
	since time.Time
}

const (
	// settleEvery is how often lingering names are looked at, if that takes no more than a tenth of it.
	settleEvery = 200 * time.Millisecond
	// maxLingering is how many names are looked at; past it the whole root has changed, for a comparison
	// goes by what the directories list.
	maxLingering = 10_000
)

// linger notes which of the missing names linger.
func (w *worker) linger(t *task, f folder) {
	if !t.remote {
		return
	}
	for _, j := range w.missing {
		name := t.dir.name(int(j))
		if w.tree.system.look(f, name, new(entry), false) == nil {
			w.mu.Lock()
			w.lingering = append(w.lingering, lingering{join(t.path, name[:len(name)-1]), time.Now()})
			w.mu.Unlock()
		}
	}
}

// settle reports the names that no longer linger, and returns since when the first of the others does; zero if
// there is none.
func (t *tree) settle() (since time.Time) {
	if len(t.lingering) == 0 {
		return time.Time{}
	}
	root, err := openRoot(t.root)
	if err != nil {
		return t.lingering[0].since
	}
	defer root.close()
	t.lingering = slices.DeleteFunc(t.lingering, func(l lingering) bool {
		name := append([]byte(l.path), 0)
		if t.system.look(root, name, new(entry), false) == nil && t.system.look(root, name, new(entry), true) == unix.ENOENT {
			return false
		}
		t.reporter.Change(sdk.Change{Path: l.path, Ops: sdk.OpRemove})
		return true
	})
	if len(t.lingering) == 0 {
		return time.Time{}
	}
	return t.lingering[0].since
}
