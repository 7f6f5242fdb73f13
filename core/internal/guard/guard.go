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
	root string

	mu    sync.Mutex
	known *identity // of the source when it was first there
}

type identity struct {
	dev, ino uint64
}

// New returns the guard of the directory root. Nothing is known of it yet.
func New(root string) *Guard { return &Guard{root: root} }

// Check returns nil when the source may be transferred, deletions included. The first directory that
// is found is the source from then on. Otherwise the error says what was seen and what to do. It is
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
		g.known = &seen
	}
	if *g.known == seen {
		return nil
	}
	return fmt.Errorf("source %s is not the directory it was (device %d inode %d, was device %d inode %d), as after an unmount: "+
		"nothing is sent or deleted until that is back; if the new directory is meant, restart filewatch",
		g.root, seen.dev, seen.ino, g.known.dev, g.known.ino)
}
