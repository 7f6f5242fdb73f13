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
	dir    string // "" before the first barrier
	wd     int32
	last   int
	laid   map[string]sdk.Barrier // by the name of the file, whose event is awaited
	met    []sdk.Barrier          // whose event was read, and which wait for what it left in doubt
}

func newBarriers(k *kernel) *barriers {
	return &barriers{kernel: k, wd: noWatch, laid: make(map[string]sdk.Barrier)}
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
func (b *barriers) handle(e event) bool {
	if e.wd != b.wd {
		return false
	}
	if barrier, ok := b.laid[e.name]; ok {
		delete(b.laid, e.name)
		_ = os.Remove(filepath.Join(b.dir, e.name)) // the directory is removed with all that is in it
		b.met = append(b.met, barrier)
	}
	return true
}

// meetAll takes note that the events of all barriers may be lost. The whole tree is then compared, which
// is after what any of them stands for.
func (b *barriers) meetAll() {
	for name, barrier := range b.laid {
		delete(b.laid, name)
		_ = os.Remove(filepath.Join(b.dir, name))
		b.met = append(b.met, barrier)
	}
}

// reached ends the barriers whose event was read.
func (b *barriers) reached() {
	for _, barrier := range b.met {
		barrier.Reached()
	}
	b.met = nil
}

func (b *barriers) close() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir) // the run directory ends with the plugin
	}
}
