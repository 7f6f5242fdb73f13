package transfer

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/filewatch/filewatch/core/internal/queue"
	"github.com/filewatch/filewatch/sdk"
)

// A file that is larger than Config.LargeFile does not hold up the others. Every change goes to the main lane,
// whose calls leave such files out and name them. One after the other they are then sent by calls beside those
// of the main lane. So that no path is in two calls at once:
//
//   - A call of the large lane begins while none of the main lane is under way.
//   - Calls of the main lane that begin meanwhile are told to leave its path alone. When it has ended, the main
//     lane looks again at the path, if one of its changes was about it, and at the directories above, whose
//     times the call has changed and which it has kept from being removed.
//   - It creates and changes that path alone. What else is in doubt goes to the main lane.

// maxLargePending is how many large files may wait. Past that they are sent by the main lane.
const maxLargePending = 1000

// largeQueue is for the dirty set of large files. They settle in the main one. There are few, so that paths
// stay paths, and each is sent alone: no other one waits for it to be confirmed.
func largeQueue(c queue.Config) queue.Config {
	c.Settle, c.MaxDelay, c.Limit, c.BatchPaths = 0, 0, 1<<30, 1
	return c
}

// busy is what the large lane is at work on.
type busy struct {
	path string
	// touched is when the oldest of the changes was seen that the main lane had to leave out; zero = none.
	touched time.Time
	written bool // one of them says, or does not rule out, that path was written
	// spare is a deletion that the main lane leaves to it.
	spare bool
}

// maxSize is what a call of the main lane leaves out.
func (d *Destination) maxSize(full bool) uint64 {
	if d.large.queue.Stats().Pending > maxLargePending {
		return 0
	}
	// What is in the way of a large file counts as well, and is approved with all else.
	if full && (d.deletionHold() != nil || d.config.Budget.Approved()) {
		return 0
	}
	return d.config.LargeFile
}

// isLarge reports whether the path of a batch of the large lane still is a large file.
func (d *Destination) isLarge(batch *queue.Batch) bool {
	info, err := d.config.Lstat(filepath.Join(d.config.Source, batch.Changes()[0].Path))
	return err == nil && info.Mode().IsRegular() && uint64(info.Size()) > d.config.LargeFile
}

// giveBack leaves a batch of the large lane to the main one.
func (l *lane) giveBack(batch *queue.Batch) {
	l.main.queue.Add(batch.Oldest, batch.Changes()[0])
	l.queue.Done(time.Now(), batch, nil)
}

// occupy keeps the main lane away from the path of a batch, until the returned function is called. That reports
// whether the main lane had something to do about it meanwhile, and looks at it again.
func (l *lane) occupy(batch *queue.Batch) (end func() (touched bool)) {
	path := batch.Changes()[0].Path
	allowed := l.config.Budget.Allowed(time.Now(), l.config.Guard.Entries(), false)
	l.update(func(s *situation) { s.busy = &busy{path: path, spare: allowed > 0} })
	return func() bool {
		var touched time.Time
		seen := sdk.OpAttrib
		l.update(func(s *situation) {
			touched = s.busy.touched
			if s.busy.written {
				seen |= sdk.OpWrite // without OpCreate, or the subtree would be a new directory
			}
			s.busy = nil
		})
		if touched.IsZero() && !l.isLarge(batch) {
			touched = batch.Oldest // it may have gone, which is the main lane's matter
		}
		var again []sdk.Change
		oldest := batch.Oldest
		if !touched.IsZero() {
			again = append(again, sdk.Change{Path: path, Scope: sdk.ScopeSubtree, Ops: seen})
			if touched.Before(oldest) {
				oldest = touched
			}
		}
		for path != "" {
			path = parent(path)
			again = append(again, sdk.Change{Path: path})
		}
		l.main.queue.Add(oldest, again...)
		return !touched.IsZero()
	}
}

// leaveBusy has a request of the main lane leave alone what the large lane is at work on.
func (d *Destination) leaveBusy(req *sdk.SyncRequest, batch *queue.Batch) {
	d.mu.Lock()
	b := d.now.busy
	d.mu.Unlock()
	if b == nil {
		return
	}
	touches, written := false, false
	for _, c := range req.Changes {
		touches = touches || d.touches(c, b.path)
		written = written || c.Path == b.path && c.MayBeWritten()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now.busy != b {
		return // it is over, and no other one begins now
	}
	req.Busy = []string{b.path}
	b.written = b.written || written
	if touches && (b.touched.IsZero() || batch.Oldest.Before(b.touched)) {
		b.touched = batch.Oldest
	}
}

// touches reports whether a change is about path too. That of a directory above is if it has gone.
func (d *Destination) touches(c sdk.Change, path string) bool {
	if c.Covers(path) || below(path, c.Path) {
		return true
	}
	if c.Path == "" || !below(c.Path, path) {
		return false
	}
	info, err := d.config.Lstat(filepath.Join(d.config.Source, c.Path))
	return err != nil || !info.IsDir()
}

// below reports whether path is below dir.
func below(dir, path string) bool {
	return len(path) > len(dir) && (dir == "" || path[len(dir)] == '/' && strings.HasPrefix(path, dir))
}

// named returns the changes of large files that a call has named. What happened to one is known if its path was in the
// batch; that a comparison has found it does not mean that it was written.
func named(large []string, batch *queue.Batch) []sdk.Change {
	if len(large) == 0 {
		return nil
	}
	ops := map[string]sdk.Op{}
	for _, c := range batch.Changes() {
		ops[c.Path] = c.Ops
	}
	var changes []sdk.Change
	for _, path := range large {
		c := sdk.Change{Path: path, Ops: sdk.OpAttrib}
		if o, ok := ops[path]; ok {
			c.Ops = o
		}
		changes = append(changes, c)
	}
	return changes
}

// elsewhere adds to the other lane what a call of l has left to it, and returns what has failed in l.
func (l *lane) elsewhere(batch *queue.Batch, result sdk.Result) (failed []sdk.PathError) {
	if !l.beside() {
		l.large.queue.Add(batch.Oldest, named(result.Large, batch)...)
		l.queue.Defer(time.Now(), batch, result.Deferred)
		return result.Failed
	}
	path := batch.Changes()[0].Path
	for _, f := range result.Failed {
		if f.Path == path || below(path, f.Path) {
			failed = append(failed, f)
		} else {
			// A directory that had gone, and is back without what was in it.
			l.main.queue.Add(batch.Oldest, sdk.Change{Path: f.Path, Scope: sdk.ScopeSubtree})
		}
	}
	return failed
}
