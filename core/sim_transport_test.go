package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// simTransport is the transport plugin as one daemon sees it. It does what rsync does: it makes a list of
// what is there, sends each entry as it is when its turn comes, and deletes last.
type simTransport struct {
	w      *simWorld
	daemon int
}

// simCall is one Sync under way.
type simCall struct {
	w        *simWorld
	d        *simDest
	daemon   int
	name     string
	rng      *rand.Rand
	req      sdk.SyncRequest
	exclude  *filter.Filter
	full     bool
	root     uint64 // the directory that the call began with
	progress func(sdk.Progress)
	result   sdk.Result

	ops      int         // so far
	approved bool        // to delete any number
	deleted  []time.Time // so far
	failAt   int         // after so many everything fails; 0 = never
	failWith error
	failLate uint64 // after so many deletions everything fails; 0 = never
	flaky    int    // of a hundred entries so many fail
	slow     int    // of a hundred entries so many take their time
	diffs    []sdk.Difference
}

// simPatience is what a call takes at most when all is well.
const simPatience = 50 * time.Millisecond

var (
	errPlain   = errors.New("rsync exited with 12")
	errAway    = sdk.Unavailable(errors.New("no route to host"))
	errFull    = errors.New("no space left on device")
	errGone    = sdk.RootLost(errors.New("the source is not the directory it was"))
	errMistake = sdk.Misconfigured(errors.New("permission denied (publickey)"))
)

func (t simTransport) Sync(ctx context.Context, req sdk.SyncRequest, progress func(sdk.Progress)) (sdk.Result, error) {
	c, err := t.begin(ctx, req, progress)
	if c == nil {
		return sdk.Result{}, err
	}
	if err == nil {
		err = c.sync(ctx)
	}
	if err != nil && !req.DryRun {
		c.progress(sdk.Progress{Files: uint64(c.ops), Deleted: c.result.Deleted, Created: c.result.Created})
	}
	c.end(err)
	if err != nil {
		return sdk.Result{}, err
	}
	return c.result, nil
}

// begin checks what must hold whenever the transport is called.
func (t simTransport) begin(ctx context.Context, req sdk.SyncRequest, progress func(sdk.Progress)) (*simCall, error) {
	w := t.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.runs(t.daemon) {
		return nil, errAway
	}
	i := slices.IndexFunc(w.dests, func(d *simDest) bool { return d.endpoint == req.Destination })
	d := w.dests[i]
	chance, calls := d.endpoint.Path, &d.calls
	if len(req.Changes) == 0 {
		chance, calls = "ready "+chance, &d.readied
	}
	*calls++
	if *calls > 1_000_000 {
		panic("the engine calls the transport without end")
	}
	c := &simCall{
		w: w, d: d, daemon: t.daemon, name: "send " + d.endpoint.Path, rng: w.rng(chance, *calls),
		req: req, progress: progress, root: w.identity, approved: d.approved,
	}
	c.exclude, _ = filter.Parse(req.Exclude)
	c.full = slices.ContainsFunc(req.Changes, func(ch sdk.Change) bool { return ch.Path == "" && ch.Scope == sdk.ScopeSubtree })
	w.note(c.name, "call %d: %s", *calls, description(req))
	for _, other := range d.running {
		switch {
		case other.req.Beside == req.Beside:
			w.violated("%s: two calls of the transport at once", d.endpoint)
		case req.DryRun || other.req.DryRun:
		case req.Beside:
			w.violated("%s: a call beside one that does not know of it", d.endpoint)
		case !slices.Equal(req.Busy, []string{other.req.Changes[0].Path}):
			w.violated("%s: a call that is not told to leave %v alone", d.endpoint, other.req.Changes)
		}
	}
	d.running = append(d.running, c)
	if req.Beside && (len(req.Changes) != 1 || req.Changes[0].Scope != sdk.ScopePath) {
		w.violated("%s: a call of %v beside others", d.endpoint, req.Changes)
	}
	if w.paused && !req.DryRun {
		w.violated("%s: a transfer while paused", d.endpoint)
	}
	if !req.DryRun && req.Delete {
		switch {
		case w.root != rootThere:
			w.violated("%s: a transfer while the source is %s", d.endpoint, w.root)
		case w.empty(w.source.tree) && !w.approved && w.plan.MaxDelete.Percent < 100:
			w.violated("%s: a transfer while the source is empty", d.endpoint)
		}
	}
	if w.faults {
		switch n := c.rng.IntN(100); {
		case n < 10:
			c.failAt = 1 + c.rng.IntN(12)
			c.failWith = []error{errPlain, errAway, errMistake, errGone, errPlain, errAway}[c.rng.IntN(6)]
		case n < 25:
			c.failLate = 1 + c.rng.Uint64N(3)
			c.failWith = []error{errPlain, errAway}[c.rng.IntN(2)]
		case n < 31:
			c.flaky = 10 + c.rng.IntN(60)
		}
		switch c.rng.IntN(10) {
		case 0:
			c.slow = 20 + c.rng.IntN(60)
		case 1, 2:
			c.slow = 3
		}
	}
	return c, ctx.Err()
}

// description writes a request for the trace, if there is one.
type description sdk.SyncRequest

func (req description) String() string {
	text := ""
	for i, c := range req.Changes {
		if i == 12 {
			text += " …"
			break
		}
		text += " " + c.String()
	}
	if req.Delete {
		text += fmt.Sprintf(" delete ≤ %d", req.MaxDelete)
	}
	if req.DryRun {
		text += " dry"
	}
	if req.List {
		text += " list"
	}
	if req.Beside {
		text += " beside"
	}
	for _, p := range req.Busy {
		text += " without " + p
	}
	return fmt.Sprintf("%s/%d%s", req.ID, req.Attempt, text)
}

func (c *simCall) end(err error) {
	w := c.w
	w.mu.Lock()
	defer w.mu.Unlock()
	c.d.running = slices.DeleteFunc(c.d.running, func(o *simCall) bool { return o == c })
	if !w.runs(c.daemon) {
		return
	}
	if !c.req.DryRun {
		c.d.ended = time.Now()
	}
	c.d.deleted = append(c.d.deleted, c.deleted...)
	if err != nil {
		w.note(c.name, "fails: %v", err)
		return
	}
	w.note(c.name, "done: %+v", c.result)
	if c.full && !c.req.DryRun {
		c.d.held = false
	}
	if c.full && !c.req.DryRun && c.approved {
		c.d.approved, c.d.deleted, c.d.created = false, nil, nil
	}
}

// wait lets time pass. The error says that there is no use in going on.
func (c *simCall) wait(ctx context.Context, d time.Duration) error {
	if d > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
		turn.Wait(ctx)
	}
	return ctx.Err()
}

func (c *simCall) sync(ctx context.Context) error {
	w := c.w
	connect := time.Duration(c.rng.IntN(20_000_000))
	if w.hasFaults() && c.rng.IntN(15) == 0 {
		connect += time.Duration(c.rng.IntN(30)) * time.Second
	}
	if err := c.wait(ctx, connect); err != nil {
		return err
	}
	w.mu.Lock()
	away, poison := c.d.away, c.d.poison
	w.mu.Unlock()
	if away {
		if c.rng.IntN(4) == 0 { // nothing answers at all
			if err := c.wait(ctx, time.Duration(20+c.rng.IntN(80))*time.Second); err != nil {
				return err
			}
		}
		return errAway
	}
	if len(c.req.Changes) == 0 {
		return c.failWith // it was to make ready
	}
	if poison != "" && slices.ContainsFunc(c.req.Changes, func(ch sdk.Change) bool { return ch.Covers(poison) }) {
		return errPlain
	}
	w.mu.Lock()
	dir := w.view()[parentOf(c.req.Changes[0].Path)]
	w.mu.Unlock()
	defer c.disturb(dir)
	if err := c.rename(ctx); err != nil {
		return err
	}
	c.deferNew()
	changes := c.req.Changes
	for round := 1; len(changes) > 0; round++ {
		again, err := c.round(ctx, changes)
		if err != nil {
			return err
		}
		if round == 3 {
			for _, a := range again {
				c.fail(a.Path, "vanished")
			}
			break
		}
		changes = again
	}
	c.tell(true)
	return nil
}

func (c *simCall) fail(path, text string) {
	for _, f := range c.result.Failed {
		if f.Path == path {
			return
		}
	}
	c.result.Failed = append(c.result.Failed, sdk.PathError{Path: path, Text: text})
}

// disturb sets the directory that a call beside others has written to back to what it was when the call began.
func (c *simCall) disturb(was simNode) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	dir := parentOf(c.req.Changes[0].Path)
	if n, ok := c.d.tree[dir]; ok && n.dir && was.dir && c.req.Beside && c.w.runs(c.daemon) {
		c.d.tree[dir] = was
	}
}

// busy reports whether a path is left to another call.
func (c *simCall) busy(path string) bool {
	return !c.req.DryRun && slices.ContainsFunc(c.req.Busy, func(b string) bool { return within(path, b) })
}

// leave reports whether a file is left out because of its size. w is locked.
func (c *simCall) leave(l *listed, path string, n simNode) bool {
	if c.req.DryRun || !n.large(c.req.MaxSize) {
		return false
	}
	l.left = append(l.left, path)
	if (c.d.tree[path] != n || c.rng.IntN(4) == 0) && !slices.Contains(c.result.Large, path) {
		c.result.Large = append(c.result.Large, path)
	}
	return true
}

// differs notes a difference for who asked for a list.
func (c *simCall) differs(path string, kind sdk.DifferenceKind) {
	if c.req.List {
		c.diffs = append(c.diffs, sdk.Difference{Path: path, Kind: kind})
	}
}

// tell reports the differences, now and then.
func (c *simCall) tell(all bool) {
	if len(c.diffs) > 0 && (all || c.rng.IntN(5) == 0) {
		c.progress(sdk.Progress{Files: uint64(c.ops), Deleted: c.result.Deleted, Created: c.result.Created, Differences: c.diffs})
		c.diffs = nil
	}
}

// step comes before each thing that the call does to the destination, or sees at the source.
func (c *simCall) step(ctx context.Context) error {
	if c.rng.IntN(100) < c.slow {
		d := time.Duration(c.rng.IntN(300_000_000))
		if c.rng.IntN(5) == 0 {
			d *= 20
		}
		if err := c.wait(ctx, d); err != nil {
			return err
		}
	}
	c.ops++
	if c.failAt > 0 && c.ops >= c.failAt {
		if c.rng.IntN(4) == 0 { // after it has hung
			if err := c.wait(ctx, time.Duration(c.rng.IntN(100))*time.Second); err != nil {
				return err
			}
		}
		return c.failWith
	}
	w := c.w
	w.mu.Lock()
	defer w.mu.Unlock()
	return c.check()
}

// check returns why the call must end. w is locked.
func (c *simCall) check() error {
	switch {
	case !c.w.runs(c.daemon):
		return errAway
	case c.w.root != rootThere || c.w.identity != c.root:
		return errGone
	case c.d.away:
		return errAway
	}
	return nil
}

// listed is the list of one round.
type listed struct {
	entries simTree
	whole   map[string]bool // directories that are compared with their contents
	gone    []string
	left    []string // files that are left out because of their size
	dark    string   // what is in it nobody knows; "" = everything is known
}

// list looks at the source.
func (c *simCall) list(ctx context.Context, changes []sdk.Change) (*listed, error) {
	l := &listed{entries: simTree{}, whole: map[string]bool{}}
	w := c.w
	for _, ch := range changes {
		if c.rng.IntN(100) < c.slow {
			if err := c.wait(ctx, time.Duration(c.rng.IntN(50_000_000))); err != nil {
				return nil, err
			}
		}
		w.mu.Lock()
		if err := c.check(); err != nil {
			w.mu.Unlock()
			return nil, err
		}
		view := w.view()
		n, there := view[ch.Path]
		switch {
		case c.busy(ch.Path):
		case ch.Path == "":
			if ch.Scope == sdk.ScopeSubtree {
				c.listTree(l, view, "")
			}
		case !there:
			// Below an excluded directory, or one itself, whatever it was.
			if !c.exclude.ExcludedMissing(ch.Path) {
				l.gone = append(l.gone, ch.Path)
			}
		case c.exclude.Excluded(ch.Path, n.dir), c.leave(l, ch.Path, n):
		default:
			for p := parentOf(ch.Path); p != ""; p = parentOf(p) {
				l.entries[p] = view[p]
			}
			l.entries[ch.Path] = n
			if n.dir && ch.Scope == sdk.ScopeSubtree {
				c.listTree(l, view, ch.Path)
			}
		}
		w.mu.Unlock()
	}
	return l, nil
}

// listTree lists what is in a directory. w is locked.
func (c *simCall) listTree(l *listed, view simTree, dir string) {
	l.whole[dir] = true
	for _, p := range view.paths(dir) {
		if n := view[p]; p != dir && !c.exclude.Excluded(p, n.dir) && !c.busy(p) && !c.leave(l, p, n) {
			l.entries[p] = n
			if n.dir {
				l.whole[p] = true
			}
		}
	}
	// What is in a directory that cannot be listed is unknown, and not gone.
	if dark := c.w.dark; l.whole[dark] && within(dark, dir) && dark != "" {
		c.fail(dark, "cannot be listed: input/output error")
		l.dark = dark
		maps.DeleteFunc(l.entries, func(p string, _ simNode) bool { return p != dark && within(p, dark) })
		maps.DeleteFunc(l.whole, func(p string, _ bool) bool { return within(p, dark) })
	}
	if dir == "" {
		c.result.Entries = uint64(len(l.entries) + len(l.left))
	}
}

// round transfers, and returns what has to be looked at again.
func (c *simCall) round(ctx context.Context, changes []sdk.Change) (again []sdk.Change, err error) {
	l, err := c.list(ctx, changes)
	if err != nil {
		return nil, err
	}
	if c.req.DryRun {
		return nil, c.dry(l)
	}
	for _, p := range slices.Sorted(maps.Keys(l.entries)) {
		if err := c.step(ctx); err != nil {
			return nil, err
		}
		a, err := c.send(l, p)
		if err != nil {
			return nil, err
		}
		again = append(again, a...)
		c.tell(false)
	}
	if !c.req.Delete {
		return again, nil
	}
	if c.req.Beside {
		return again, nil
	}
	return again, c.deleteGone(ctx, l)
}

// send makes one entry of the destination what it is at the source.
func (c *simCall) send(l *listed, p string) (again []sdk.Change, err error) {
	w, d := c.w, c.d
	w.mu.Lock()
	defer w.mu.Unlock()
	now, ok := w.view()[p]
	if !ok || now.dir != l.entries[p].dir {
		scope := sdk.ScopeSubtree
		if c.req.Beside {
			scope = sdk.ScopePath // the rest is left to the others
		}
		if !ok && c.req.MayDefer && c.rng.IntN(2) == 0 {
			c.differs(p, sdk.Same)
			return nil, nil
		}
		return []sdk.Change{{Path: p, Scope: scope}}, nil
	}
	was, there := d.tree[p]
	if there && was == now {
		if slices.ContainsFunc(c.req.Changes, func(ch sdk.Change) bool { return ch.Path == p }) {
			c.differs(p, sdk.Same)
		}
		return nil, nil
	}
	switch {
	case !d.tree.isDir(parentOf(p)):
		if !slices.ContainsFunc(c.result.Failed, func(f sdk.PathError) bool { return within(p, f.Path) }) {
			c.fail(p, "no such directory at the destination")
		}
		return nil, nil
	case d.full:
		if c.rng.IntN(2) == 0 {
			return nil, errFull
		}
		c.fail(p, errFull.Error())
		return nil, nil
	case c.rng.IntN(100) < c.flaky, d.bad == p:
		c.fail(p, "permission denied")
		return nil, nil
	}
	kind := sdk.Different
	switch {
	case !there:
		kind = sdk.Missing
		c.result.Created++
		d.created = append(d.created, time.Now())
	case was.dir && !now.dir:
		doomed := d.tree.paths(p)
		if slices.ContainsFunc(doomed, c.busy) {
			c.fail(p, "a directory is in the way, and busy")
			return nil, nil
		}
		if !c.req.Delete || !c.mayDelete(len(doomed)) {
			c.fail(p, "a directory is in the way")
			if c.req.Delete {
				c.result.Withheld.Count += uint64(len(doomed))
			}
			return nil, nil
		}
		slices.Reverse(doomed)
		for _, o := range doomed {
			c.remove(o)
		}
	}
	c.touch(p)
	d.tree[p] = now
	c.result.Files++
	c.differs(p, kind)
	w.note(c.name, "puts %s: %v", p, now)
	if now.dir && (!there || !was.dir) && !l.whole[p] {
		// The destination had lost it, with what was in it.
		if c.req.Beside {
			c.fail(p, "had been lost")
			return nil, nil
		}
		return []sdk.Change{{Path: p, Scope: sdk.ScopeSubtree}}, nil
	}
	return nil, nil
}

// doomed returns what is at the destination and not in the list, children first. w is locked.
func (c *simCall) doomed(l *listed) (paths []string) {
	for p, n := range c.d.tree {
		if slices.ContainsFunc(l.left, func(left string) bool { return within(p, left) }) {
			continue
		}
		if _, ok := l.entries[p]; ok || c.exclude.Excluded(p, n.dir) || c.busy(p) || l.dark != "" && within(p, l.dark) {
			continue
		}
		if l.whole[parentOf(p)] || slices.ContainsFunc(l.gone, func(g string) bool { return within(p, g) }) {
			paths = append(paths, p)
		} else if slices.ContainsFunc(slices.Collect(maps.Keys(l.whole)), func(dir string) bool { return within(p, dir) }) {
			paths = append(paths, p) // below something that is gone
		}
	}
	slices.Sort(paths)
	slices.Reverse(paths)
	return paths
}

// deleteGone deletes what is not in the list.
func (c *simCall) deleteGone(ctx context.Context, l *listed) error {
	w, d := c.w, c.d
	w.mu.Lock()
	doomed := c.doomed(l)
	w.mu.Unlock()
	if !c.mayDelete(len(doomed)) {
		// Mostly it can tell before; otherwise it deletes as many as it may.
		n := 0
		if c.rng.IntN(5) == 0 {
			n = int(c.req.MaxDelete+c.result.Created) - int(c.result.Deleted)
		}
		left := doomed[max(n, 0):]
		doomed = doomed[:max(n, 0)]
		c.result.Withheld.Count += uint64(len(left))
		c.result.Withheld.Sample = append(c.result.Withheld.Sample, left[:min(len(left), 3)]...)
	}
	for _, p := range doomed {
		if c.failLate > 0 && c.result.Deleted >= c.failLate {
			return c.failWith
		}
		if err := c.step(ctx); err != nil {
			return err
		}
		w.mu.Lock()
		switch {
		case c.rng.IntN(100) < c.flaky, d.bad == p:
			c.fail(p, "cannot be deleted")
		case slices.ContainsFunc(d.tree.paths(p), c.busy):
			// Excluded, so that it stays without a word.
		case len(d.tree.paths(p)) > 1:
			c.fail(p, "is not empty")
		default:
			c.remove(p)
			c.differs(p, sdk.Extra)
		}
		w.mu.Unlock()
		c.tell(false)
	}
	return nil
}

func (c *simCall) mayDelete(n int) bool {
	return c.req.MaxDelete == 0 || c.result.Deleted+uint64(n) <= c.req.MaxDelete+c.result.Created
}

// touch checks that no other call is at work on a path. w is locked.
func (c *simCall) touch(p string) {
	for _, other := range c.d.running {
		switch {
		case c.req.Beside && p != c.req.Changes[0].Path && !within(c.req.Changes[0].Path, p) && !within(p, c.req.Changes[0].Path):
			c.w.violated("%s: %q is changed beside others by a call of %v", c.d.endpoint, p, c.req.Changes)
		case other != c && other.req.Beside && within(p, other.req.Changes[0].Path):
			c.w.violated("%s: %q is in two calls at once", c.d.endpoint, p)
		}
	}
}

// remove deletes one entry of the destination, and checks that it may. w is locked.
func (c *simCall) remove(p string) {
	w, d := c.w, c.d
	now := time.Now()
	n := d.tree[p]
	c.touch(p)
	delete(d.tree, p)
	c.result.Deleted++
	c.deleted = append(c.deleted, now)
	w.note(c.name, "deletes %s", p)
	switch {
	case !w.plan.Delete || !c.req.Delete:
		w.violated("%s: %q is deleted although delete is off", d.endpoint, p)
	case w.exclude.Excluded(p, n.dir):
		w.violated("%s: %q is deleted although it is excluded", d.endpoint, p)
	case w.over != "" && within(p, w.over):
		w.violated("%s: %q is deleted although something is mounted over it", d.endpoint, p)
	case w.root != rootThere:
		w.violated("%s: %q is deleted while the source is %s", d.endpoint, p, w.root)
	}
	recent := 0
	for _, running := range d.running {
		recent += len(running.deleted)
	}
	for _, at := range d.deleted {
		if now.Sub(at) < 10*time.Minute {
			recent++
		}
	}
	for _, at := range d.created { // counted as long as any deletion may be
		if now.Sub(at) < 10*time.Minute+20*time.Second {
			recent--
		}
	}
	if max := w.plan.MaxDelete; max.Percent == 0 && recent > int(max.Count) && !d.approved && !(c.full && c.approved) {
		w.violated("%s: %d deletions within ten minutes, max_delete is %d", d.endpoint, recent, max.Count)
	}
}

// dry lists what differs.
func (c *simCall) dry(l *listed) error {
	w, d := c.w, c.d
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range slices.Sorted(maps.Keys(l.entries)) {
		now, ok := w.view()[p]
		if !ok {
			now = l.entries[p]
		}
		if was, there := d.tree[p]; !there {
			c.differs(p, sdk.Missing)
		} else if was != now {
			c.differs(p, sdk.Different)
		}
	}
	if c.req.Delete {
		for _, p := range c.doomed(l) {
			c.differs(p, sdk.Extra)
		}
	}
	return nil
}
