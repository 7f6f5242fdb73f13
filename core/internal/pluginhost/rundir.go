package pluginhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
)

// maxProcessDir bounds the path of a process's directory. A socket's path has 107 bytes at most on
// Linux and 103 on macOS (unix(7)). go-plugin appends up to 38 bytes (/plugin-dirN/pluginN with N up
// to 2^32); an ssh control socket gets 17 more while it is bound, which leaves a plugin 28 bytes for
// its name.
const maxProcessDir = 60

// runDir is the private directory of one Host, with a directory for the sockets of each plugin
// process. A lock (flock) on the directory itself tells that its owner lives; it goes with the
// owner, however that ends. systemd-tmpfiles respects it too.
type runDir struct {
	path string
	lock *os.File
}

// newRunDir makes a run directory in the first of bases that will do, after removing what dead
// owners left there.
func newRunDir(bases []string) (*runDir, error) {
	var errs []error
	for _, base := range bases {
		d, err := newRunDirIn(base)
		if err == nil {
			return d, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no place for the sockets of plugins: %w", errors.Join(errs...))
}

// runBases are the directories for run directories, best first.
func runBases() []string {
	var bases []string
	if os.Geteuid() == 0 {
		bases = append(bases, "/run")
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		bases = append(bases, dir)
	}
	// TMPDIR may be too long.
	return append(bases, os.TempDir(), "/tmp")
}

func newRunDirIn(base string) (*runDir, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return nil, err
	}
	sweep(base)
	for {
		path, err := os.MkdirTemp(base, "filewatch-"+strconv.Itoa(os.Getpid())+"-")
		if err != nil {
			return nil, err
		}
		lock, err := lockDir(path, syscall.LOCK_EX)
		if errors.Is(err, os.ErrNotExist) {
			continue // another daemon swept it before it was locked
		}
		if err != nil {
			_ = os.Remove(path)
			return nil, err
		}
		d := &runDir{path: path, lock: lock}
		if longest := d.process(99_999); len(longest) > maxProcessDir {
			_ = d.remove()
			return nil, fmt.Errorf("%s: the path is too long for sockets: set TMPDIR to a directory with a shorter one", base)
		}
		return d, nil
	}
}

// process returns the path of the directory of the nth process.
func (d *runDir) process(n uint64) string {
	return filepath.Join(d.path, strconv.FormatUint(n, 10))
}

// remove removes the directory and all below it.
func (d *runDir) remove() error {
	err := os.RemoveAll(d.path)
	return errors.Join(err, d.lock.Close())
}

// lockDir opens and locks a directory. It fails with os.ErrNotExist when the directory is gone by
// the time it is locked.
func lockDir(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if _, err := os.Lstat(path); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// runDirName is what newRunDirIn makes; nothing else is ever swept.
var runDirName = regexp.MustCompile(`^filewatch-[0-9]+-[0-9]+$`)

// sweep removes the run directories in base whose owners are dead. What it cannot remove is in
// nobody's way.
func sweep(base string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !runDirName.MatchString(e.Name()) {
			continue
		}
		path := filepath.Join(base, e.Name())
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() {
			continue
		}
		lock, err := lockDir(path, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue
		}
		_ = os.RemoveAll(path)
		_ = lock.Close()
	}
}
