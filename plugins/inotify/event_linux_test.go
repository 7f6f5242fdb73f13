package inotify

import (
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

// encode returns an event as the kernel writes it.
func encode(wd int32, mask, cookie uint32, name string) []byte {
	size := 0
	if name != "" {
		size = (len(name) + 16) &^ 15
	}
	buf := make([]byte, unix.SizeofInotifyEvent+size)
	binary.NativeEndian.PutUint32(buf, uint32(wd))
	binary.NativeEndian.PutUint32(buf[4:], mask)
	binary.NativeEndian.PutUint32(buf[8:], cookie)
	binary.NativeEndian.PutUint32(buf[12:], uint32(size))
	copy(buf[unix.SizeofInotifyEvent:], name)
	return buf
}

func TestNextEvent(t *testing.T) {
	long := strings.Repeat("\xff", 255)
	var buf []byte
	want := []event{
		{1, unix.IN_CREATE | unix.IN_ISDIR, 0, "a"},
		{-1, unix.IN_Q_OVERFLOW, 0, ""},
		{1 << 30, unix.IN_MOVED_TO, 1<<32 - 2, long},
		{2, unix.IN_DELETE, 0, "exactly16 bytes!"},
	}
	for _, e := range want {
		buf = append(buf, encode(e.wd, e.mask, e.cookie, e.name)...)
	}
	for _, e := range want {
		got, rest, ok := nextEvent(buf)
		if !ok || got != e {
			t.Fatalf("got %+v, %v, want %+v", got, ok, e)
		}
		buf = rest
	}
	if len(buf) != 0 {
		t.Fatalf("%d bytes left", len(buf))
	}
}

func TestEventOps(t *testing.T) {
	for _, tc := range []struct {
		mask uint32
		want sdk.Op
	}{
		{unix.IN_CREATE, sdk.OpCreate},
		{unix.IN_MODIFY, sdk.OpWrite},
		{unix.IN_CLOSE_WRITE, sdk.OpClose},
		{unix.IN_DELETE | unix.IN_ISDIR, sdk.OpRemove},
		{unix.IN_MOVED_FROM, sdk.OpRemove | sdk.OpRename},
		{unix.IN_MOVED_TO, sdk.OpCreate | sdk.OpRename},
		{unix.IN_ATTRIB, sdk.OpAttrib},
		{unix.IN_IGNORED, 0},
	} {
		if got := (event{mask: tc.mask}).ops(); got != tc.want {
			t.Errorf("%#x: got %v, want %v", tc.mask, got, tc.want)
		}
	}
}

// FuzzNextEvent cuts arbitrary bytes up: it must take each byte once, and stop.
func FuzzNextEvent(f *testing.F) {
	f.Add(append(encode(1, unix.IN_CREATE, 0, "name"), encode(2, unix.IN_IGNORED, 0, "")...))
	f.Add(encode(1, unix.IN_CREATE, 0, "name")[:20])
	f.Fuzz(func(t *testing.T, buf []byte) {
		for len(buf) > 0 {
			e, rest, ok := nextEvent(buf)
			if !ok {
				return
			}
			if used := len(buf) - len(rest); used < unix.SizeofInotifyEvent+len(e.name) || strings.Contains(e.name, "\x00") {
				t.Fatalf("%+v from %d bytes", e, used)
			}
			buf = rest
		}
	})
}
