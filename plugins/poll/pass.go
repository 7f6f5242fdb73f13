package poll

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

// maxHeld is about how many directories a pass keeps open. In a tree that is deeper the way from the
// root is gone again.
const maxHeld = 256

// maxLate is how many reports wait for the end of a pass; past it the whole root has changed.
const maxLate = 1 << 16

// itself is the name of an open directory.
var itself = []byte{0}

// errElsewhere says that a directory has lost its place while it was looked for.
var errElsewhere = errors.New("something else has taken its place")

// pass is one look at the tree.
type pass struct {
	tree  *tree
	ctx   context.Context
	light bool
	first bool
	since int64 // files that have not changed since then are cold; nanoseconds since the epoch
	top   *dir
	root  folder
	spare chan struct{} // capacity: how many may help with large directories

	held atomic.Int32 // directories kept open

	mu     sync.Mutex // guards all below
	wake   sync.Cond  // tasks or busy have changed
	tasks  []task     // the last one first, so that few directories are open
	busy   int        // workers that may add tasks
	late   []sdk.Change
	all    bool // late has become too long
	failed []failure
	cost   time.Duration

	lingering []lingering // found by it
}

// failure is a path that could not be looked at.
type failure struct {
	path string
	err  error
}

// task is a directory to visit.
type task struct {
	path   string
	parent *holder // nil when the way has to be gone from the root
	dir    *dir
	mount  uint32 // that it is on
	remote bool   // it is on a file system that a server or other hosts change
	// mountPoint tells that remote is what its parent is on.
	mountPoint bool
	// silent tells that it is reported as a whole already.
	silent bool
	// rested tells that nothing was added, removed or renamed in it since it was last read.
	rested bool
	onRoot bool // it is the root
	way    way  // to what is looked at in it; nil = all
}

// holder keeps a directory open as long as something in it is to be visited.
type holder struct {
	folder
	refs atomic.Int32
}

func newPass(ctx context.Context, t *tree, light bool) *pass {
	p := &pass{tree: t, ctx: ctx, light: light, first: t.top == nil, since: time.Now().Add(-t.hotFor).UnixNano(), top: t.top}
	if p.first {
		p.top = &dir{}
	}
	p.wake.L = &p.mu
	return p
}

// begin checks that root is the root, and makes it the first task.
func (p *pass) begin(root folder) error {
	t := p.tree
	remote := t.system.remote(root)
	n := workers(remote || t.served.Load())
	p.spare = make(chan struct{}, n)
	p.root = root
	now := time.Now()
	var e entry
	if err := t.system.look(root, itself, &e, remote); err != nil {
		return err
	}
	e.racy = p.racy(&e, now, now, remote)
	rested := false
	if p.first {
		t.self = e
	} else if !t.self.sameDir(&e) {
		return errReplaced
	}
	if !p.first {
		if t.self.same(&e) {
			e.racy = p.stillRacy(&t.self, now)
		}
		if rested = t.self.same(&e) && t.self.racy == 0; !rested && t.way == nil {
			p.report("", sdk.ScopePath, sdk.OpAttrib)
		}
		t.self = e
	}
	p.tasks = []task{{dir: p.top, mount: e.mount, remote: remote, silent: p.first, rested: rested && p.light, onRoot: true, way: t.way}}
	return nil
}

// run visits all directories.
func (p *pass) run() {
	var wg sync.WaitGroup
	for range cap(p.spare) {
		wg.Go(func() {
			p.timed(func() {
				w := worker{pass: p, buf: make([]byte, 32<<10)}
				for t, ok := p.take(); ok; t, ok = p.take() {
					w.visit(&t)
					p.put(w.found)
					w.found = w.found[:0]
				}
			})
		})
	}
	wg.Wait()
}

// timed calls f, and adds the processor time that it takes to the cost of the pass.
func (p *pass) timed(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadTime()
	f()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cost += threadTime() - start
}

// take waits for a task. It reports false when there will be none.
func (p *pass) take() (task, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.tasks) == 0 && p.busy > 0 {
		p.wake.Wait()
	}
	n := len(p.tasks)
	if n == 0 {
		return task{}, false
	}
	t := p.tasks[n-1]
	p.tasks = p.tasks[:n-1]
	p.busy++
	return t, true
}

// put adds what the task that was taken before has led to.
func (p *pass) put(found []task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tasks = append(p.tasks, found...)
	p.busy--
	if len(found) > 1 || p.busy == 0 {
		p.wake.Broadcast()
	}
}

// hold keeps f, on which the directory of t is open, for the tasks that were found in it. When too many
// are open, or there are none, it closes f.
func (p *pass) hold(t *task, f folder, found []task) {
	if len(found) == 0 || p.held.Load() >= maxHeld {
		p.shut(t, f)
		return
	}
	p.held.Add(1)
	h := &holder{folder: f}
	h.refs.Store(int32(len(found)))
	if t.onRoot {
		h.refs.Add(1) // it stays open
	}
	for i := range found {
		found[i].parent = h
	}
}

func (p *pass) release(h *holder) {
	if h.refs.Add(-1) == 0 {
		p.held.Add(-1)
		h.close()
	}
}

// shut closes f, on which the directory of t is open. The root is closed at the end.
func (p *pass) shut(t *task, f folder) {
	if !t.onRoot {
		f.close()
	}
}

// report reports a change that what is looked at from now on cannot affect.
func (p *pass) report(path string, scope sdk.Scope, ops sdk.Op) {
	p.tree.reporter.Change(sdk.Change{Path: path, Scope: scope, Ops: ops})
}

// later reports a change at the end of the pass: what is below a new directory changes as long as it is
// being read, and nothing is reported as removed before it is known that the root is still there.
func (p *pass) later(path string, scope sdk.Scope, ops sdk.Op) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.late) == maxLate {
		p.late, p.all = nil, true
	}
	if !p.all {
		p.late = append(p.late, sdk.Change{Path: path, Scope: scope, Ops: ops})
	}
}

func (p *pass) sendLate() {
	if p.all {
		p.late = []sdk.Change{{Scope: sdk.ScopeSubtree}}
	}
	for _, c := range p.late {
		p.tree.reporter.Change(c)
	}
}

// fail records that path could not be looked at.
func (p *pass) fail(path string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = append(p.failed, failure{path, err})
}

// vanished reports whether err says that there is no such directory (any more).
func vanished(err error) bool {
	return err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP || err == errElsewhere
}
