package fanotify

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// linkPause is how long the search for the other names of changed files waits for further ones. It is
// then not repeated before ten times as long as it took, so that it never takes more than a tenth of
// one core.
const linkPause = 20 * time.Millisecond

// links finds the other names of files that have several. The kernel tells of a change only under the
// name that it was made by, and knowing all names beforehand would take a look at every file. The
// directory entries hold the inode numbers, so that a search needs no look at any.
type links struct {
	root     string
	exclude  *filter.Filter
	reporter sdk.Reporter
	wake     chan struct{} // capacity 1: there are wanted ones
	idle     chan struct{} // capacity 1: a search has ended

	mu     sync.Mutex        // guards all below
	wanted map[uint64]sdk.Op // inode numbers, with what happened
	begun  uint64            // searches
	ended  uint64            // searches
}

func newLinks(root string, exclude *filter.Filter, r sdk.Reporter) *links {
	return &links{root: root, exclude: exclude, reporter: r, wake: make(chan struct{}, 1), idle: make(chan struct{}, 1), wanted: make(map[uint64]sdk.Op)}
}

// changed notes a change of the file with the inode number ino. It does not wait for the search.
func (l *links) changed(ino uint64, op sdk.Op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted[ino] |= op
	signal(l.wake)
}

// due returns the number of the search after which all names of what has changed so far are reported.
func (l *links) due() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wanted) > 0 {
		return l.begun + 1
	}
	return l.begun
}

// done returns the number of the last search that has ended.
func (l *links) done() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// run searches until ctx ends.
func (l *links) run(ctx context.Context) {
	pause := linkPause
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		wanted := l.wanted
		l.wanted = make(map[uint64]sdk.Op)
		l.begun++
		l.mu.Unlock()
		started := time.Now()
		l.search(ctx, wanted)
		l.mu.Lock()
		l.ended++
		l.mu.Unlock()
		signal(l.idle)
		pause = max(linkPause, 10*time.Since(started))
	}
}

// search reports every name below the root that has one of the inode numbers. That another file
// system has the same numbers only causes reports without need. A directory that is moved meanwhile
// may be missed here, and is compared as a whole because of the move.
func (l *links) search(ctx context.Context, wanted map[uint64]sdk.Op) {
	buf := make([]byte, 64<<10)
	for dirs := []string{""}; len(dirs) > 0 && ctx.Err() == nil; {
		dir := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		flags := openFlags
		if dir == "" {
			flags &^= unix.O_NOFOLLOW
		}
		fd, err := openat(unix.AT_FDCWD, join(l.root, dir), flags)
		if err != nil {
			continue // gone, or closed to us and therefore not transferred either
		}
		// What could not be read counts the same.
		_ = readDir(fd, buf, func(e dirent) {
			if e.isDir(fd) {
				if path := join(dir, string(e.name)); !l.exclude.Match(path, true) {
					dirs = append(dirs, path)
				}
				return
			}
			op, ok := wanted[e.ino]
			if !ok {
				return
			}
			if path := join(dir, string(e.name)); !l.exclude.Match(path, false) {
				l.reporter.Change(sdk.Change{Path: path, Ops: op})
			}
		})
		unix.Close(fd)
	}
}

// signal wakes whoever waits for c, whose capacity is 1.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
