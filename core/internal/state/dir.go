package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/filewatch/filewatch/core/internal/guard"
)

// Dir is a Store: a directory with one file for each sync block, NAME.json, that one daemon uses at a time.
type Dir struct {
	path  string
	owner Owner

	mu     sync.Mutex
	lock   *os.File // nil = not locked
	closed bool
}

// Open returns the store in the directory path, which it makes if necessary, and locks it for owner. When
// another daemon has it, the error is an *InUseError and there is no Dir. With any other error the
// directory cannot be used at present: each Save tries again.
func Open(path string, owner Owner) (*Dir, error) {
	d := &Dir{path: path, owner: owner}
	err := d.ready()
	if _, inUse := errors.AsType[*InUseError](err); inUse {
		return nil, err
	}
	return d, err
}

// Close gives the directory free.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.lock == nil {
		return nil
	}
	lock := d.lock
	d.lock = nil
	return lock.Close()
}

// ready makes and locks the directory, also when it was removed meanwhile.
func (d *Dir) ready() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fs.ErrClosed
	}
	if d.lock != nil {
		if isFile(d.lock, filepath.Join(d.path, "lock")) {
			return nil
		}
		d.lock.Close()
		d.lock = nil
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	lock, err := lock(d.path, d.owner)
	if err != nil {
		return err
	}
	d.lock = lock
	d.sweep()
	return nil
}

// What a Save writes before it is renamed is hidden, as no name of a sync block is.
const (
	tempPrefix = "."
	tempSuffix = ".tmp"
)

// sweep removes what interrupted Saves have left. What it cannot remove is in nobody's way.
func (d *Dir) sweep() {
	names, _ := filepath.Glob(filepath.Join(glob(d.path), tempPrefix+"*.json.*"+tempSuffix))
	for _, name := range names {
		_ = os.Remove(name)
	}
}

// glob returns the pattern that matches this path.
func glob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// file returns the path of a sync block's file.
func (d *Dir) file(name string) (string, error) {
	if name == "" || name[0] == '.' || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("%q is no name of a sync block", name)
	}
	return filepath.Join(d.path, name+".json"), nil
}

// Load implements Store. A file that cannot be used is put aside under another name, so that no Save
// replaces it.
func (d *Dir) Load(name string) (Sync, error) {
	path, err := d.file(name)
	if err != nil {
		return Sync{}, err
	}
	if err := d.ready(); err != nil {
		return Sync{}, fmt.Errorf("use the state directory: %w", err)
	}
	text, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Sync{}, nil
	}
	suffix := ".unreadable"
	var s Sync
	if err == nil {
		suffix = ".damaged"
		if s, err = decode(name, text); err == nil {
			return s, nil
		}
		if newer, ok := errors.AsType[newerError](err); ok {
			suffix = ".version" + strconv.Itoa(newer.version)
		}
	}
	const meaning = "nothing is known of this sync, as before its first run: an empty source and more than 100 deletions are held (`filewatch approve %s`)"
	aside, asideErr := putAside(path, suffix)
	if asideErr != nil {
		return Sync{}, fmt.Errorf("state file %s cannot be used: %w; it cannot be put aside either (%w), and may be overwritten; "+meaning, guard.Path(path), err, asideErr, name)
	}
	return Sync{}, fmt.Errorf("state file %s cannot be used: %w; it is now %s and can be removed; "+meaning, guard.Path(path), err, guard.Path(aside), name)
}

// read returns the content of a regular file.
func read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("its %d bytes are too many", info.Size())
	}
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// putAside gives a file another name that is free, and returns it.
func putAside(path, suffix string) (string, error) {
	for n := 1; ; n++ {
		aside := path + suffix
		if n > 1 {
			aside += "." + strconv.Itoa(n)
		}
		if _, err := os.Lstat(aside); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		return aside, os.Rename(path, aside)
	}
}

// Save implements Store.
func (d *Dir) Save(name string, s Sync) error {
	text, err := encode(name, s)
	if err != nil {
		return err
	}
	path, err := d.file(name)
	if err != nil {
		return err
	}
	if err := d.ready(); err != nil {
		return fmt.Errorf("use the state directory: %w", err)
	}
	return replace(path, text)
}

// replace gives a file new content: whenever the machine stops, the old one or the new one is there, and the
// new one once replace has returned.
func replace(path string, text []byte) error {
	dir, base := filepath.Split(path)
	temp, err := os.CreateTemp(dir, tempPrefix+base+".*"+tempSuffix)
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails once it has been renamed, as it should
	_, err = temp.Write(text)
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory survive the end of the machine.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
