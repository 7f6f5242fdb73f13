package control

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// maxPath bounds the path of a socket: 107 bytes on Linux, 103 on macOS (unix(7)).
	maxPath = 103
	// dialTimeout bounds how long a daemon may take to accept. The kernel does that for it unless many
	// others wait already.
	dialTimeout = 5 * time.Second
)

// runDirs are the directories for sockets, best first. A daemon takes the first that will do, and whoever
// looks for one looks into each, for the environment of a service is not that of a login.
func runDirs() []string {
	var dirs []string
	// systemd's RuntimeDirectory=, which may be a list, see systemd.exec(5).
	if dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":"); filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Clean(dir))
	}
	dirs = append(dirs, "/run/filewatch")
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Join(dir, "filewatch"))
	}
	name := "filewatch-" + strconv.Itoa(os.Geteuid())
	// TMPDIR may be too long.
	dirs = append(dirs, filepath.Join(os.TempDir(), name), filepath.Join("/tmp", name))
	return slices.Compact(dirs)
}

// socketIn returns the path of the socket in dir of the daemon with a state directory. No two daemons share
// one.
func socketIn(dir, stateDir string) string {
	sum := sha256.Sum256([]byte(stateDir))
	return filepath.Join(dir, fmt.Sprintf("control-%x.sock", sum[:4]))
}

// trusted returns nil when nobody but us and root can put a socket into dir, or listens to one there.
func trusted(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory: remove it", dir)
	case !ok || int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user (uid %d)", dir, stat.Uid)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others can write in %s: remove it, or chmod 0700 %s", dir, dir)
	}
	return nil
}

// listen makes the socket of the daemon with a state directory in the first of dirs that will do.
func listen(dirs []string, stateDir string) (*listener, error) {
	var errs []error
	for _, dir := range dirs {
		l, err := listenIn(dir, stateDir)
		if err == nil || errors.As(err, new(*runningError)) {
			return l, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// runningError tells that another daemon listens.
type runningError struct {
	socket string
	pid    int // 0 = not known
}

func (e *runningError) Error() string {
	return fmt.Sprintf("another filewatch with the same state directory listens on %s%s", e.socket, process(e.pid))
}

func process(pid int) string {
	if pid == 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}

func listenIn(dir, stateDir string) (*listener, error) {
	path := socketIn(dir, stateDir)
	if len(path) > maxPath {
		return nil, fmt.Errorf("%s: the path is too long for a socket", path)
	}
	unlock, err := makeLocked(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	inner, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	inner.SetUnlinkOnClose(false)
	l := &listener{UnixListener: inner, dir: dir, path: path}
	if err = os.Chmod(path, 0o600); err == nil {
		l.made, err = os.Lstat(path)
	}
	if err != nil {
		_ = inner.Close() // nobody has connected; the next start removes the file
		return nil, err
	}
	return l, nil
}

// makeLocked makes dir unless it is there, and locks it.
func makeLocked(dir string) (unlock func(), err error) {
	for {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		err := trusted(dir)
		if err == nil {
			unlock, err = lock(dir)
		}
		if !errors.Is(err, fs.ErrNotExist) { // else another daemon has just removed it
			return unlock, err
		}
	}
}

// lock keeps other daemons from making or removing sockets in dir, and dir itself. It fails with
// fs.ErrNotExist when that is gone by the time it is locked.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	var locked, there os.FileInfo
	if err == nil {
		locked, err = f.Stat()
	}
	if err == nil {
		there, err = os.Lstat(dir)
	}
	if err == nil && !os.SameFile(locked, there) {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil // the lock goes with the descriptor, whatever Close returns
}

// removeStale removes the socket of a daemon that is dead.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is not a socket: remove it", path)
	}
	c, err := net.DialTimeout("unix", path, dialTimeout)
	if err == nil {
		defer c.Close()
		_, pid, _ := peer(c.(*net.UnixConn))
		return &runningError{path, pid}
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return err
}

// listener accepts only its own user and root. That is what the modes of the socket and its directory are
// for; it holds even if somebody has changed them.
type listener struct {
	*net.UnixListener
	dir, path string
	made      os.FileInfo
	closing   sync.Once
}

// Accept returns the next connection that may be served.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, _, err := peer(c); err == nil && (uid == 0 || uid == os.Geteuid()) {
			return c, nil
		}
		_ = c.Close() // a stranger's
	}
}

// Close ends the listener and removes its socket, unless that is another daemon's by now, and the directory
// with the last socket. Once it is closed there is nothing more to do.
func (l *listener) Close() (err error) {
	l.closing.Do(func() {
		err = l.UnixListener.Close()
		unlock, lockErr := lock(l.dir)
		if lockErr != nil {
			return // what stays, the next start removes
		}
		defer unlock()
		if info, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(info, l.made) {
			_ = os.Remove(l.path) // the next start does it otherwise
		}
		_ = os.Remove(l.dir) // fails while there is something in it
	})
	return err
}
