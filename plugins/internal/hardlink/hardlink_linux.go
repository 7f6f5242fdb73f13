// Package hardlink finds the other names of files that have several. The kernel tells of a change only
// under the name that it was made by, and knowing all names beforehand would take a look at every file.
package hardlink

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/dirent"
	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

const (
	// pause is how long a search waits for further files to look for. It is then not repeated before ten
	// times as long as it took, so that searches never take more than a tenth of one core.
	pause = 20 * time.Millisecond
	// slack is how much older the time of a change may be than what the clock said before it: the kernel
	// takes it from a clock that is up to 10 ms late, some moments before it tells of the change.
	slack = 100 * time.Millisecond
)

// Finder searches a tree for the names of files. Its methods do not wait for the search.
type Finder struct {
	// Idle has capacity 1: a search has ended.
	Idle chan struct{}

	root     string
	exclude  *filter.Filter
	reporter sdk.Reporter
	wake     chan struct{} // capacity 1: there is something to look for

	mu      sync.Mutex // guards all below
	next    order
	begun   uint64 // searches
	ended   uint64 // searches
	linked  bool   // some file may have several names
	changed bool   // Changed or Link was called since the last search began
}

// order is what a search has to find.
type order struct {
	inodes map[uint64]sdk.Op // with what happened
	since  time.Time         // of a change that may be of any file; zero if there is none
}

func (o order) empty() bool { return len(o.inodes) == 0 && o.since.IsZero() }

// New returns a Finder that reports what it finds to r. The root may be a symlink.
func New(root string, exclude *filter.Filter, r sdk.Reporter) *Finder {
	return &Finder{
		root: root, exclude: exclude, reporter: r,
		Idle: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		next: order{inodes: make(map[uint64]sdk.Op)}, linked: true,
	}
}

// Changed has all names reported of the file with the inode number ino, which has changed. That another
// file system has the same number only causes reports without need.
func (f *Finder) Changed(ino uint64, op sdk.Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.linked, f.changed = true, true
	f.next.inodes[ino] |= op
	f.signal()
}

// Known takes back what Changed said, as far as it is not being done already: all names that the file
// has are reported.
func (f *Finder) Known(ino uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.next.inodes, ino)
}

// ChangedSince has every file reported that was changed since then: one was, and it cannot be told which.
func (f *Finder) ChangedSince(since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next.since.IsZero() || since.Before(f.next.since) {
		f.next.since = since
	}
	f.signal()
}

// Link takes note that some file has several names.
func (f *Finder) Link() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.linked, f.changed = true, true
}

// Linked reports whether the tree may hold files with several names. It does not before ChangedSince has
// found none, or after Changed or Link.
func (f *Finder) Linked() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.linked
}

// Due returns the number of the search after which all that has been asked for so far is reported.
func (f *Finder) Due() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next.empty() {
		return f.begun
	}
	return f.begun + 1
}

// Done returns the number of the last search that has ended.
func (f *Finder) Done() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

func (f *Finder) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run searches until ctx ends.
func (f *Finder) Run(ctx context.Context) {
	wait := pause
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		started := time.Now()
		f.searchNext(ctx)
		wait = max(pause, 10*time.Since(started))
		select {
		case f.Idle <- struct{}{}:
		default:
		}
	}
}

// searchNext does what has been asked for so far.
func (f *Finder) searchNext(ctx context.Context) {
	f.mu.Lock()
	o := f.next
	f.next = order{inodes: make(map[uint64]sdk.Op)}
	f.begun++
	f.changed = false
	f.mu.Unlock()
	linked := !o.empty() && f.search(ctx, o) || len(o.inodes) > 0
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended++
	f.linked = linked || f.changed || f.linked && o.since.IsZero()
}

// search reports what o asks for, and returns whether some file has several names. A directory that is
// moved meanwhile may be missed here, and is compared as a whole because of the move. What cannot be read
// is gone, or not watched and looked after in another way.
func (f *Finder) search(ctx context.Context, o order) (linked bool) {
	var since int64
	if !o.since.IsZero() {
		// The clock may have been set back meanwhile.
		since = min(o.since.UnixNano(), time.Now().Add(-time.Since(o.since)).UnixNano()) - int64(slack)
	}
	buf := make([]byte, 64<<10)
	for dirs := []string{""}; len(dirs) > 0 && ctx.Err() == nil; {
		dir := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		fd, err := dirent.OpenBelow(f.root, dir)
		if err != nil {
			continue
		}
		_ = dirent.Read(fd, buf, func(e dirent.Entry) {
			if e.IsDir(fd) {
				if path := relpath.Join(dir, string(e.Name)); !f.exclude.Match(path, true) {
					dirs = append(dirs, path)
				}
				return
			}
			op, wanted := o.inodes[e.Ino]
			if !wanted && !o.since.IsZero() {
				var st unix.Stat_t
				if unix.Fstatat(fd, string(e.Name), &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
					wanted = st.Ctim.Nano() >= since
					linked = linked || st.Nlink > 1
				}
			}
			if !wanted {
				return
			}
			if path := relpath.Join(dir, string(e.Name)); !f.exclude.Match(path, false) {
				f.reporter.Change(sdk.Change{Path: path, Ops: op})
			}
		})
		unix.Close(fd)
	}
	return linked
}
