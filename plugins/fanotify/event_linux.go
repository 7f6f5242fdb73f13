package fanotify

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

// event is one event of the kernel. What it points to is valid until its buffer is used again.
type event struct {
	mask    uint64
	pid     int32
	entries [2]entry // the first count of them; two for a rename
	count   int
	target  []byte // file system and handle of what the entries lead, or led, to: see splitKey
}

// entry is one directory entry that an event is about.
type entry struct {
	dir  []byte // file system and handle of the directory, as the kernel writes them: see splitKey
	name []byte // "." for the directory itself
	kind byte   // FAN_EVENT_INFO_TYPE_…
}

const (
	metadataSize = 24 // struct fanotify_event_metadata
	headerSize   = 4  // struct fanotify_event_info_header
	fsidSize     = 8
	keyHead      = fsidSize + 8 // then the size and the type of the handle, 32 bits each
)

func (e event) has(mask uint64) bool { return e.mask&mask != 0 }

// dir reports whether the entries are, or were, directories.
func (e event) isDir() bool { return e.has(unix.FAN_ONDIR) }

// nextEvent cuts the first event off buf. It reports false when buf does not start with a whole one that
// makes sense.
func nextEvent(buf []byte) (e event, rest []byte, ok bool) {
	if len(buf) < metadataSize {
		return event{}, nil, false
	}
	size := binary.NativeEndian.Uint32(buf)
	info := binary.NativeEndian.Uint16(buf[6:])
	if buf[4] != unix.FANOTIFY_METADATA_VERSION || info < metadataSize || uint32(info) > size || uint64(size) > uint64(len(buf)) {
		return event{}, nil, false
	}
	e.mask = binary.NativeEndian.Uint64(buf[8:])
	e.pid = int32(binary.NativeEndian.Uint32(buf[20:]))
	for records := buf[info:size]; len(records) > 0; {
		if len(records) < headerSize {
			return event{}, nil, false
		}
		n := int(binary.NativeEndian.Uint16(records[2:]))
		if n < headerSize || n > len(records) {
			return event{}, nil, false
		}
		if !e.add(records[0], records[headerSize:n]) {
			return event{}, nil, false
		}
		records = records[n:]
	}
	return e, buf[size:], true
}

// add takes one record of an event. It reports false when the record makes no sense; one of another
// kind is passed over.
func (e *event) add(kind byte, record []byte) bool {
	switch kind {
	case unix.FAN_EVENT_INFO_TYPE_FID, unix.FAN_EVENT_INFO_TYPE_DFID, unix.FAN_EVENT_INFO_TYPE_DFID_NAME,
		unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
	default:
		return true
	}
	if len(record) < keyHead {
		return false
	}
	size := binary.NativeEndian.Uint32(record[fsidSize:])
	if uint64(size) > uint64(len(record)-keyHead) {
		return false
	}
	end := keyHead + int(size)
	if kind == unix.FAN_EVENT_INFO_TYPE_FID {
		e.target = record[:end]
		return true
	}
	if e.count == len(e.entries) {
		return false
	}
	name, _, _ := bytes.Cut(record[end:], []byte{0})
	if kind == unix.FAN_EVENT_INFO_TYPE_DFID || len(name) == 0 {
		name = []byte(".")
	}
	e.entries[e.count] = entry{record[:end], name, kind}
	e.count++
	return true
}

// splitKey takes entry.dir or event.target apart.
func splitKey(key []byte) (fsid [fsidSize]byte, handle unix.FileHandle) {
	kind := int32(binary.NativeEndian.Uint32(key[fsidSize+4:]))
	return [fsidSize]byte(key), unix.NewFileHandle(kind, key[keyHead:])
}

const (
	names  = unix.FAN_CREATE | unix.FAN_DELETE | unix.FAN_RENAME // change which names there are
	writes = unix.FAN_MODIFY | unix.FAN_CLOSE_WRITE | unix.FAN_ATTRIB
)

var ops = [...]struct {
	mask uint64
	op   sdk.Op
}{
	{unix.FAN_CREATE, sdk.OpCreate},
	{unix.FAN_MODIFY, sdk.OpWrite},
	{unix.FAN_CLOSE_WRITE, sdk.OpClose},
	{unix.FAN_DELETE, sdk.OpRemove},
	{unix.FAN_ATTRIB, sdk.OpAttrib},
}

// ops returns what the event says about one of its entries, as the core knows it.
func (e event) ops(n entry) (op sdk.Op) {
	switch n.kind {
	case unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
		return sdk.OpRemove | sdk.OpRename
	case unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
		return sdk.OpCreate | sdk.OpRename
	}
	for _, o := range ops {
		if e.has(o.mask) {
			op |= o.op
		}
	}
	return op
}
