package guard

import (
	"errors"
	"io"
	"os"
)

// Sight is what is found when a source is looked at.
type Sight struct {
	Identity Identity `json:"identity,omitzero"`
	Empty    bool     `json:"empty,omitempty"` // nothing in it but what is ignored
}

// Looker is how a Guard sees the source. It is safe for concurrent use.
type Looker interface {
	// Look opens the directory root, following symbolic links, and says what it is. ignored tells which of
	// its entries do not count. The error matches fs.ErrNotExist when there is nothing, and
	// syscall.ENOTDIR when it is no directory. It blocks as long as a server does not answer.
	Look(root string, ignored func(name string, dir bool) bool) (Sight, error)
	// Mounted reports whether a file system is mounted on the directory, and true when nobody can tell.
	Mounted(point Path) bool
}

// empty reports whether nothing is in dir but what is ignored.
func empty(dir *os.File, ignored func(name string, dir bool) bool) (bool, error) {
	for {
		entries, err := dir.ReadDir(16)
		for _, e := range entries {
			// mkfs makes lost+found: with nothing else, the disk is new.
			if e.Name() != "lost+found" && !ignored(e.Name(), e.IsDir()) {
				return false, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}
