package rsync

import (
	"maps"
	"slices"
	"sync"

	"github.com/filewatch/filewatch/sdk"
)

// counter adds up the runs of one request, which may be several at once, and reports them as progress.
type counter struct {
	progress func(sdk.Progress) // nil = not wanted; called with mu held

	mu      sync.Mutex // guards all below, result only while several runs are under way
	result  sdk.Result
	running map[*output]*underWay
	amount  uint64  // of the work that is done, by the runs that have ended; see entryAmount
	total   uint64  // amount of all the work; 0 = not known
	portion float64 // see sdk.Progress

	there map[string]bool // what of the request was there, and has not been listed; see sdk.Same
}

// underWay is how far a run is.
type underWay struct {
	sdk.Progress // what it has said; but Bytes count those of the file that it is at, too

	said   uint64   // bytes that it has said it has sent
	amount uint64   // of the work that it has said it has done
	top    []string // see output
	read   uint64   // bytes of the file that it is at

	// seen and wrote are from when it was last looked at without a file under way, or with others sent since the
	// time before. All that it writes from then on is of that file.
	seen, wrote uint64
}

// sent counts bytes. Those that are seen on their way and those that are said to be sent are not quite the same.
func (u *underWay) sent(bytes uint64) { u.Bytes = max(u.Bytes, bytes) }

// add counts a run that has ended, however it did, and further deletions that it may have done. What it has
// sent may have been lost if it did not come to its end.
func (c *counter) add(out *outcome, presumed uint64) {
	o := &out.stdout
	c.report(o)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, o)
	c.result.Deleted += o.deleted - o.again + presumed
	if out.ran() {
		c.result.Files += o.files
		c.result.Created += o.createdCount
		c.result.Bytes += o.bytes
		c.amount += o.amount
	}
	c.tell(nil)
}

// advance notes how much of the request is done.
func (c *counter) advance(portion float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.portion = portion
	c.tell(nil)
}

// saw notes entries that are to be listed as the same if nothing else is: rsync says nothing of what vanishes before it
// looks, where that is not to be removed.
func (c *counter) saw(entries []entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.there == nil {
		c.there = map[string]bool{}
	}
	for _, e := range entries {
		if !e.state.gone() {
			c.there[e.path] = true
		}
	}
}

// listRest lists those of which nothing has been.
func (c *counter) listRest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []sdk.Difference
	for _, p := range slices.Sorted(maps.Keys(c.there)) {
		list = append(list, sdk.Difference{Path: p, Kind: sdk.Same})
	}
	if len(list) > 0 {
		c.tell(list)
	}
}

// expect notes the amount of all the work, 0 if it is not known. It has to be noted before anything is done.
func (c *counter) expect(total uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.amount == 0 && c.total == 0 {
		c.total = total
	}
}

// of returns how far a run is. c.mu is held.
func (c *counter) of(o *output) *underWay {
	u := c.running[o]
	if u == nil {
		if c.running == nil {
			c.running = map[*output]*underWay{}
		}
		u = &underWay{}
		c.running[o] = u
	}
	return u
}

// report reports what the runs so far and the running ones have handled.
func (c *counter) report(o *output) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.of(o)
	if o.bytes != u.said {
		u.read = 0
	}
	u.Files, u.Deleted = o.files+o.deleted, o.deleted-o.again
	u.said, u.amount, u.top = o.bytes, o.amount, o.top
	u.sent(u.said)
	c.tell(o.list)
	o.list, o.listSize = nil, 0
}

// look reports how far a running rsync is in a file, of which it says nothing before its end. The portion of it that was
// read counts if it is read only to be sent.
func (c *counter) look(o *output, at position, counts bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.of(o)
	if u.read = 0; counts {
		u.read = at.read
	}
	if !at.open || u.said != u.seen {
		u.seen, u.wrote = u.said, at.wrote
	}
	// What is written is more than the file at first, the list of files, and less when the far end has most of it.
	u.sent(u.said + min(at.read, at.wrote-min(u.wrote, at.wrote)))
	c.tell(nil)
}

// created returns the entries directly in the root that a running rsync has created.
func (c *counter) created(o *output) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u := c.running[o]; u != nil {
		return u.top
	}
	return nil
}

// tell reports everything that is counted, and some differences. c.mu is held.
func (c *counter) tell(list []sdk.Difference) {
	if c.progress == nil {
		return
	}
	for _, d := range list {
		delete(c.there, d.Path)
	}
	r, amount := c.result, c.amount
	p := sdk.Progress{Files: r.Files + r.Deleted, Bytes: r.Bytes, Deleted: r.Deleted, Created: r.Created, Differences: list}
	for _, u := range c.running {
		p.Files += u.Files
		p.Bytes += u.Bytes
		p.Deleted += u.Deleted
		amount += u.amount + u.read
	}
	if c.total > 0 {
		c.portion = max(c.portion, min(1, float64(amount)/float64(c.total)))
	}
	p.Portion = c.portion
	c.progress(p)
}
