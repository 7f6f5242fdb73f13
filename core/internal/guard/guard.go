// Package guard keeps a sync from acting on a source that is not what it was: missing, unmounted or
// replaced. Such a source looks like one whose files were all deleted.
package guard

import (
	"fmt"
	"os"
	"sync"
	"syscall"
)

// Guard watches over the identity of one source. It is safe for concurrent use.
type Guard struct {
	root    string
	deletes bool

	mu    sync.Mutex
	known *identity // of the source when it was first there
}

type identity struct {
	dev, ino uint64
}

// New returns the guard of the directory root, of which nothing is known yet. deletes says whether what is
// missing there is deleted elsewhere.
func New(root string, deletes bool) *Guard { return &Guard{root: root, deletes: deletes} }

// Check returns nil when the source may be transferred, deletions included. The first directory that
// is found is the source from then on, unless it is empty, as the place of a disk that is not mounted
// (yet) is: then there is nothing to send, and what deletions would do is nothing anyone could want. Otherwise the error says what was seen and what to do. It is
// called right before each transfer; it follows a symbolic link, as watching and transferring do.
func (g *Guard) Check() error {
	info, err := os.Stat(g.root)
	switch {
	case os.IsNotExist(err):
		return fmt.Errorf("source %s does not exist: nothing is sent or deleted until it is there", g.root)
	case err != nil:
		return fmt.Errorf("source cannot be looked at: nothing is sent or deleted: %w", err)
	case !info.IsDir():
		return fmt.Errorf("source %s is not a directory: nothing is sent or deleted until it is one", g.root)
	}
	stat := info.Sys().(*syscall.Stat_t)
	seen := identity{dev: uint64(stat.Dev), ino: stat.Ino}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known == nil {
		if g.deletes && empty(g.root) {
			return fmt.Errorf("source %s is empty, as one that is not mounted: nothing is deleted because of it; it is synced once there is something in it", g.root)
		}
		g.known = &seen
	}
	if *g.known == seen {
		return nil
	}
	return fmt.Errorf("source %s is not the directory it was (device %d inode %d, was device %d inode %d), as after an unmount: "+
		"nothing is sent or deleted until that is back; if the new directory is meant, restart filewatch",
		g.root, seen.dev, seen.ino, g.known.dev, g.known.ino)
}

// empty reports whether there is nothing in dir, or nothing that can be read.
func empty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return true
	}
	defer f.Close()
	names, _ := f.Readdirnames(1)
	return len(names) == 0
}
