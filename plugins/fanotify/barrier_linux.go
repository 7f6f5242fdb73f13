package fanotify

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/hardlink"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/wire"
)

// barriers proves that everything up to a moment was seen: a file in a directory of our own, which the
// same group watches, gets a new name. The group's queue is in order, so when that event is read, all
// earlier ones have been. The kernel merges an event only with earlier ones of the same name.
type barriers struct {
	group *group
	dir   string
	count int
	sent  []sdk.Barrier // wait for the event of the present name
	next  []sdk.Barrier // received since that name was given
	met   []met
}

// met is a barrier whose event was read.
type met struct {
	sdk.Barrier
	search uint64 // of links that has to end first
}

// newBarriers makes the directory, which close removes.
func newBarriers(g *group) (*barriers, error) {
	b := &barriers{group: g}
	if err := b.start(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *barriers) start() (err error) {
	if b.dir, err = os.MkdirTemp(os.Getenv(wire.EnvRunDir), "barrier-"); err != nil {
		return fmt.Errorf("make a directory for barriers: %w", err)
	}
	if err := os.WriteFile(b.name(), nil, 0o600); err != nil {
		return fmt.Errorf("make a file for barriers: %w", err)
	}
	err = unix.FanotifyMark(b.group.fd, unix.FAN_MARK_ADD|unix.FAN_MARK_ONLYDIR, unix.FAN_MOVED_TO, unix.AT_FDCWD, b.dir)
	switch err {
	case nil:
		return nil
	case unix.EPERM:
		return privilegeError("watch " + b.dir)
	}
	return sdk.Misconfigured(fmt.Errorf("watch the directory %s: %w; set TMPDIR to one on another file system, or %s", b.dir, err, instead))
}

// name returns the path that the file has now. Its last part occurs in no other directory.
func (b *barriers) name() string {
	return filepath.Join(b.dir, filepath.Base(b.dir)+"-"+strconv.Itoa(b.count))
}

// ask takes a barrier that was received.
func (b *barriers) ask(barrier sdk.Barrier) error {
	b.next = append(b.next, barrier)
	return b.send()
}

// send gives the file a new name for the barriers that have been received, unless the event of the last
// name is still to come.
func (b *barriers) send() error {
	if len(b.sent) > 0 || len(b.next) == 0 {
		return nil
	}
	if err := b.rename(); err != nil {
		// Someone has tidied up. What was watched in the old directory cannot be mistaken for the new.
		b.close()
		if err := b.start(); err != nil {
			return err
		}
		if err := b.rename(); err != nil {
			return fmt.Errorf("rename the file for barriers: %w", err)
		}
	}
	b.sent, b.next = b.next, nil
	return nil
}

func (b *barriers) rename() error {
	from := b.name()
	b.count++
	return os.Rename(from, b.name())
}

// arrived reports whether an event of our own process, about that name, is the one that those sent wait for.
func (b *barriers) arrived(name []byte) bool {
	return len(b.sent) > 0 && string(name) == filepath.Base(b.name())
}

// meet takes note that all that was changed before those sent has been reported, but for the other names
// of files that l is asked to find.
func (b *barriers) meet(l *hardlink.Finder) {
	due := l.Due()
	for _, barrier := range b.sent {
		b.met = append(b.met, met{barrier, due})
	}
	b.sent = nil
}

// reached ends the barriers that wait for nothing more.
func (b *barriers) reached(l *hardlink.Finder) {
	done := l.Done()
	n := 0
	for n < len(b.met) && b.met[n].search <= done {
		b.met[n].Reached()
		n++
	}
	b.met = b.met[n:]
}

func (b *barriers) close() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir) // the run directory ends with the plugin
	}
}
