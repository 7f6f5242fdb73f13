package fanotify

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

// record is an information record of an event as the kernel writes it.
func record(kind byte, name string) []byte {
	b := []byte{kind, 0, 0, 0}
	b = append(b, "fsid...."...)
	b = binary.NativeEndian.AppendUint32(b, 4)
	b = binary.NativeEndian.AppendUint32(b, 1)
	b = append(b, "hndl"...)
	b = append(b, name...)
	b = append(b, 0)
	b = append(b, make([]byte, -len(b)&3)...)
	binary.NativeEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// packed is an event as the kernel writes it.
func packed(mask uint64, records ...[]byte) []byte {
	info := bytes.Join(records, nil)
	b := binary.NativeEndian.AppendUint32(nil, uint32(metadataSize+len(info)))
	b = append(b, unix.FANOTIFY_METADATA_VERSION, 0)
	b = binary.NativeEndian.AppendUint16(b, metadataSize)
	b = binary.NativeEndian.AppendUint64(b, mask)
	b = binary.NativeEndian.AppendUint32(b, 1<<32-1) // FAN_NOFD
	b = binary.NativeEndian.AppendUint32(b, 42)
	return append(b, info...)
}

func TestNextEvent(t *testing.T) {
	buf := packed(unix.FAN_RENAME|unix.FAN_ONDIR,
		record(unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, "old\n"),
		record(unix.FAN_EVENT_INFO_TYPE_PIDFD, "passed over"),
		record(unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, "new"))
	buf = append(buf, packed(unix.FAN_CREATE|unix.FAN_CLOSE_WRITE, record(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, "\xff"))...)
	buf = append(buf, packed(unix.FAN_ATTRIB|unix.FAN_ONDIR, record(unix.FAN_EVENT_INFO_TYPE_DFID, ""))...)
	buf = append(buf, packed(unix.FAN_Q_OVERFLOW)...)
	type flat struct {
		name string
		op   sdk.Op
		dir  bool
	}
	var got []flat
	for len(buf) > 0 {
		e, rest, ok := nextEvent(buf)
		if !ok || e.pid != 42 {
			t.Fatalf("event %+v, %v", e, ok)
		}
		for _, n := range e.entries[:e.count] {
			got = append(got, flat{string(n.name), e.ops(n), e.isDir()})
			fsid, handle := splitKey(n.dir)
			if string(fsid[:]) != "fsid...." || string(handle.Bytes()) != "hndl" || handle.Type() != 1 {
				t.Errorf("key %q: %q, %v", n.dir, fsid, handle)
			}
		}
		if e.count == 0 && !e.has(unix.FAN_Q_OVERFLOW) {
			t.Errorf("got %+v", e)
		}
		buf = rest
	}
	want := []flat{
		{"old\n", sdk.OpRemove | sdk.OpRename, true},
		{"new", sdk.OpCreate | sdk.OpRename, true},
		{"\xff", sdk.OpCreate | sdk.OpClose, false},
		{".", sdk.OpAttrib, true},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
}

func FuzzNextEvent(f *testing.F) {
	whole := packed(unix.FAN_RENAME, record(unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, "a"), record(unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, "b"))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(packed(unix.FAN_CREATE, record(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, "x"), record(2, "y"), record(2, "z")))
	f.Add(packed(unix.FAN_CREATE, []byte{2, 0, 0, 0}))
	f.Add(packed(unix.FAN_CREATE, []byte{2, 0, 20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 255, 255, 255, 255, 1, 0, 0, 0}))
	f.Fuzz(func(t *testing.T, buf []byte) {
		for len(buf) > 0 {
			e, rest, ok := nextEvent(buf)
			if !ok {
				return
			}
			if len(rest) > len(buf)-metadataSize {
				t.Fatal("nothing was cut off")
			}
			for _, n := range e.entries[:e.count] {
				splitKey(n.dir)
				if len(n.name) == 0 || bytes.IndexByte(n.name, 0) >= 0 {
					t.Fatalf("name %q", n.name)
				}
			}
			buf = rest
		}
	})
}
