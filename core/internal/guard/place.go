package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/core/internal/answer"
)

// Place is the directory of a destination on this machine. When its file system is unmounted, another
// directory appears under its name, mostly an empty one on the system's own disk, which must not be filled in
// its stead. It knows what it has seen since it was made and remembers nothing beyond. It is safe for
// concurrent use; a nil *Place is somewhere else, and always there.
type Place struct {
	path string
	look Looker

	mu    sync.Mutex
	known Identity // of the directory when last looked at; zero = there was none
}

// NewPlace returns the place at an absolute path, not looked at yet.
func NewPlace(path string) *Place { return &Place{path: path, look: &patient{Looker: newDisk()}} }

// Check looks at the directory. The error says that its file system is not mounted any more, and how to go on.
// changed reports that it is another directory than the last time, or that there is none any more: nothing is
// known of what it holds. It takes 5 s at most: a directory that does not answer is an error, too.
func (p *Place) Check() (changed bool, err error) {
	if p == nil {
		return false, nil
	}
	seen, changed, err := p.see()
	if err == nil {
		p.mu.Lock()
		p.known = seen
		p.mu.Unlock()
	}
	return changed, err
}

// Enter is Check, and keeps the directory open until leave is called, so that its file system cannot be
// unmounted between the look and the end of what is written there; `umount -l` asks nobody.
func (p *Place) Enter() (leave func(), changed bool, err error) {
	if p == nil {
		return func() {}, false, nil
	}
	// What hangs is not entered.
	if changed, err = p.Check(); err != nil {
		return func() {}, false, err
	}
	// Before the look that counts, so that what is looked at is what stays.
	leave = pin(p.path)
	again, err := p.Check()
	if err != nil {
		leave()
		return func() {}, false, err
	}
	return leave, changed || again, nil
}

// pin keeps the directory open that a path leads to, or the nearest one above it that is there, until the
// function that it returns is called. What cannot be opened is not.
func pin(path string) func() {
	dir, err := openDir(path)
	for errors.Is(err, fs.ErrNotExist) && path != filepath.Dir(path) {
		path = filepath.Dir(path)
		dir, err = openDir(path)
	}
	if err != nil {
		return func() {}
	}
	return func() { _ = unix.Close(dir) } // nothing was written to it
}

// Away returns the error that Check would. It does not touch a file system that is mounted.
func (p *Place) Away() error {
	if p == nil || !p.unmounted(Mount{}) {
		return nil
	}
	_, _, err := p.see() // it may be one that is mounted when somebody asks for it
	return err
}

// see looks at the directory and judges it.
func (p *Place) see() (seen Identity, changed bool, err error) {
	sight, err := p.look.Look(p.path, func(string, bool) bool { return false })
	seen = sight.Identity
	was := p.last()
	switch {
	case errors.Is(err, answer.Err):
		return was, false, fmt.Errorf("destination %s: %w: once `ls %s` works as the user of filewatch, the sync goes on by itself", Path(p.path), err, Path(p.path).shell())
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return was, false, nil // whoever writes there will say what is wrong
	case !was.known() || err == nil && was.same(seen):
		return seen, false, nil
	case p.unmounted(seen.Mount):
		return was, false, fmt.Errorf("destination %s: nothing is mounted on %s, where %s (%s) was: `mount %s` brings it back, and the sync goes on by itself; if it is gone for good, restart filewatch, which takes what is there then",
			Path(p.path), was.Mount.Point, was.Mount.Source, was.Type, was.Mount.Point.shell())
	}
	return seen, true, nil
}

// unmounted reports whether the mount that the directory was on is gone; now is the one it is on, if any.
func (p *Place) unmounted(now Mount) bool {
	point := p.last().Mount.Point
	return point != "" && point != "/" && point != now.Point && !p.look.Mounted(point)
}

func (p *Place) last() Identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known
}
