package inotify

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

// event is one event of the kernel.
type event struct {
	wd     int32
	mask   uint32
	cookie uint32 // the same for both halves of a rename
	name   string // of the entry; "" for the watched directory itself
}

// movedAway is the former half of a rename; the latter one has the same cookie.
type movedAway struct {
	cookie uint32
	path   string
}

func (e event) has(mask uint32) bool { return e.mask&mask != 0 }

// nextEvent cuts the first event off buf. It reports false when buf does not start with a whole one.
func nextEvent(buf []byte) (e event, rest []byte, ok bool) {
	if len(buf) < unix.SizeofInotifyEvent {
		return event{}, nil, false
	}
	e.wd = int32(binary.NativeEndian.Uint32(buf))
	e.mask = binary.NativeEndian.Uint32(buf[4:])
	e.cookie = binary.NativeEndian.Uint32(buf[8:])
	size := binary.NativeEndian.Uint32(buf[12:])
	buf = buf[unix.SizeofInotifyEvent:]
	if uint64(size) > uint64(len(buf)) {
		return event{}, nil, false
	}
	name, _, _ := bytes.Cut(buf[:size], []byte{0})
	e.name = string(name)
	return e, buf[size:], true
}

var ops = [...]struct {
	mask uint32
	op   sdk.Op
}{
	{unix.IN_CREATE, sdk.OpCreate},
	{unix.IN_MODIFY, sdk.OpWrite},
	{unix.IN_CLOSE_WRITE, sdk.OpClose},
	{unix.IN_DELETE, sdk.OpRemove},
	{unix.IN_MOVED_FROM, sdk.OpRemove | sdk.OpRename},
	{unix.IN_MOVED_TO, sdk.OpCreate | sdk.OpRename},
	{unix.IN_ATTRIB, sdk.OpAttrib},
}

// ops returns what the event says as the core knows it.
func (e event) ops() (op sdk.Op) {
	for _, o := range ops {
		if e.has(o.mask) {
			op |= o.op
		}
	}
	return op
}
