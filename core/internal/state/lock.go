package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/filewatch/filewatch/core/internal/guard"
)

// Owner is the daemon that uses a directory.
type Owner struct {
	PID     int          `json:"pid"`
	Started time.Time    `json:"started"`
	Configs []guard.Path `json:"configs"` // given with -config
}

// InUseError is returned when another daemon uses the directory.
type InUseError struct {
	Dir   string
	Owner Owner // zero = not known
}

// Error implements error.
func (e *InUseError) Error() string {
	who := "another filewatch"
	if e.Owner.PID != 0 {
		who = fmt.Sprintf("the filewatch with process id %d, which runs since %s", e.Owner.PID, e.Owner.Started.Local().Format(time.DateTime))
		var configs []string
		for _, c := range e.Owner.Configs {
			configs = append(configs, c.String())
		}
		if len(configs) > 0 {
			who += " with -config " + strings.Join(configs, " -config ")
		}
	}
	return fmt.Sprintf("the state directory %s is used by %s: end that one first, or give this one a state_dir of its own", guard.Path(e.Dir), who)
}

// maxOwner bounds what is read of a lock file.
const maxOwner = 64 << 10

// lock takes the lock of a directory for owner. It goes with the process, however that ends. The file stays:
// somebody may just be about to lock it.
func lock(dir string, owner Owner) (*os.File, error) {
	name := filepath.Join(dir, "lock")
	for {
		f, writable, err := openLock(name)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			defer f.Close()
			return nil, &InUseError{dir, readOwner(f)}
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		if !isFile(f, name) { // it was removed meanwhile, and there may be another
			f.Close()
			continue
		}
		if writable {
			writeOwner(f, owner)
		}
		return f, nil
	}
}

// openLock opens the lock file. On a file system that is read-only by now, one that is there will do.
func openLock(name string) (f *os.File, writable bool, err error) {
	const flags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|flags, 0o600)
	if err == nil {
		return f, true, nil
	}
	if f, readErr := os.OpenFile(name, os.O_RDONLY|flags, 0); readErr == nil {
		return f, false, nil
	}
	return nil, false, err
}

// isFile reports whether f is what name leads to.
func isFile(f *os.File, name string) bool {
	a, errA := f.Stat()
	b, errB := os.Lstat(name)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// readOwner returns the zero Owner when it cannot be told.
func readOwner(f *os.File) (o Owner) {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxOwner))
	if err != nil || json.Unmarshal(text, &o) != nil {
		return Owner{}
	}
	return o
}

// writeOwner writes who has the lock. That it has, does not depend on it.
func writeOwner(f *os.File, o Owner) {
	text, err := json.Marshal(o)
	if err != nil {
		return
	}
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt(append(text, '\n'), 0)
	}
}
