package inotify

import (
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/wire"
)

// barriers proves that everything up to a moment was seen: a file is made in a directory of our own
// that the same kernel queue watches. The queue is in order, so when that event is read all earlier ones
// have been.
type barriers struct {
	kernel *kernel
	dir    string // "" when it could not be made yet
	wd     int32
	last   int
	laid   map[string]sdk.Barrier // by the name of the file, whose event is awaited
	met    []met
}

// met is a barrier whose event was read.
type met struct {
	sdk.Barrier
	round     uint64 // of looks at names that has to end first
	searching bool
	search    uint64 // of links that has to end then
}

// newBarriers takes a watch before the tree does, which may take all that there are.
func newBarriers(k *kernel) *barriers {
	b := &barriers{kernel: k, wd: noWatch, laid: make(map[string]sdk.Barrier)}
	b.start()
	return b
}

// lay makes the kernel queue an event behind all those before. Where there is no room for that, at a
// watch limit for instance, nothing is proved; everything is watched all the same.
func (b *barriers) lay(barrier sdk.Barrier) {
	if b.wd == noWatch && !b.start() {
		return
	}
	b.last++
	name := strconv.Itoa(b.last)
	fd, err := unix.Open(filepath.Join(b.dir, name), unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	unix.Close(fd)
	b.laid[name] = barrier
}

// start makes the directory and watches it.
func (b *barriers) start() bool {
	if b.dir == "" {
		dir, err := os.MkdirTemp(os.Getenv(wire.EnvRunDir), "barrier-")
		if err != nil {
			return false
		}
		b.dir = dir
	}
	wd, err := unix.InotifyAddWatch(b.kernel.fd, b.dir, unix.IN_CREATE|unix.IN_MASK_ADD)
	if err != nil {
		return false
	}
	b.wd = int32(wd)
	return true
}

// handle takes note of an event in the directory of barriers. It reports false for all others.
func (b *barriers) handle(e event, s *names) bool {
	if e.wd != b.wd {
		return false
	}
	if barrier, ok := b.laid[e.name]; ok {
		delete(b.laid, e.name)
		_ = os.Remove(filepath.Join(b.dir, e.name)) // the directory is removed with all that is in it
		b.meet(barrier, s)
	}
	return true
}

// meetAll takes note that the events of all barriers may be lost. The whole tree is then compared, which
// is after what any of them stands for.
func (b *barriers) meetAll(s *names) {
	for name, barrier := range b.laid {
		delete(b.laid, name)
		_ = os.Remove(filepath.Join(b.dir, name))
		b.meet(barrier, s)
	}
}

func (b *barriers) meet(barrier sdk.Barrier, s *names) {
	b.met = append(b.met, met{Barrier: barrier, round: s.begun + 1})
}

// reached ends the barriers that wait for nothing more. While it is in doubt where some directories are none
// ends, and the names in those have to be looked at afterwards.
func (b *barriers) reached(doubt bool, s *names) {
	rest := b.met[:0]
	for _, m := range b.met {
		switch {
		case doubt:
			m.round, m.searching = s.begun+1, false
		case !m.searching && s.ended >= m.round:
			m.searching, m.search = true, s.links.Due()
		}
		if m.searching && s.links.Done() >= m.search {
			m.Reached()
		} else {
			rest = append(rest, m)
		}
	}
	clear(b.met[len(rest):])
	b.met = rest
}

func (b *barriers) close() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir) // the run directory ends with the plugin
	}
}
