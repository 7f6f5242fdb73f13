package rsync

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// Messages between ssh's master and who uses its connection, each a length, a type and a body, of 32-bit numbers
// in network order and strings with their length before them (PROTOCOL.mux of OpenSSH).
const (
	muxVersion       = 4
	muxHello         = 0x00000001
	muxNewSession    = 0x10000002
	muxSessionOpened = 0x80000006
	muxExitMessage   = 0x80000004
	muxNoEscape      = 0xffffffff
	// maxMuxMessage is beyond anything that a master says here.
	maxMuxMessage = 64 << 10
)

// lostConnection is the exit status that ssh has when its connection ends before the command does.
const lostConnection = 255

// muxSession is a session over a master's connection, as ssh -S has one.
type muxSession struct{ conn *net.UnixConn }

// dialMux returns a session that runs nothing yet.
func dialMux(path string) (*muxSession, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return &muxSession{conn}, nil
}

// run has the far end run a command, with descriptors for standard input, output and error, of which the master gets
// copies. After an
// error nothing was read from them, nor written. The master passes on what it would take from ssh itself of env.
func (m *muxSession) run(command string, env []string, files [3]int) error {
	kind, body, err := m.read()
	if err != nil {
		return err
	}
	if version, _, ok := muxNumber(body); kind != muxHello || !ok || version != muxVersion {
		return fmt.Errorf("the ssh master says hello with type %#x, version %d", kind, version)
	}
	hello := muxAppend(nil, muxVersion)
	const request = 0
	// Reserved, no terminal, no X11, no agent, no subsystem, no escape character, no kind of terminal.
	open := muxAppend(nil, request, "", 0, 0, 0, 0, uint32(muxNoEscape), "", command)
	for _, v := range env {
		open = muxAppend(open, v)
	}
	if err := errors.Join(m.write(muxHello, hello), m.write(muxNewSession, open)); err != nil {
		return err
	}
	for _, fd := range files {
		// Each with a byte of its own.
		if _, _, err := m.conn.WriteMsgUnix([]byte{0}, syscall.UnixRights(fd), nil); err != nil {
			return err
		}
	}
	if kind, _, err = m.read(); err != nil {
		return err
	}
	if kind != muxSessionOpened {
		return fmt.Errorf("the ssh master refuses a session with type %#x", kind)
	}
	return nil
}

// wait returns the command's exit status once everything it wrote has been passed on.
func (m *muxSession) wait() int {
	status := lostConnection
	for {
		kind, body, err := m.read()
		if err != nil {
			return status
		}
		if kind != muxExitMessage {
			continue
		}
		_, body, _ = muxNumber(body) // the session: there is but one
		if code, _, ok := muxNumber(body); ok {
			status = int(code)
		}
	}
}

// Close ends the session, if it runs. It may be called at any time, and more than once.
func (m *muxSession) Close() error { return m.conn.Close() }

func (m *muxSession) write(kind uint32, body []byte) error {
	message := muxAppend(nil, uint32(len(body)+4), kind)
	_, err := m.conn.Write(append(message, body...))
	return err
}

func (m *muxSession) read() (kind uint32, body []byte, err error) { return readMux(m.conn) }

func readMux(r io.Reader) (kind uint32, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 4 || size > maxMuxMessage {
		return 0, nil, fmt.Errorf("the ssh master sends a message of %d bytes", size)
	}
	body = make([]byte, size-4)
	_, err = io.ReadFull(r, body)
	return binary.BigEndian.Uint32(head[4:]), body, err
}

// muxAppend appends numbers and strings to a message.
func muxAppend(b []byte, values ...any) []byte {
	for _, v := range values {
		switch v := v.(type) {
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
		}
	}
	return b
}

// muxNumber takes a number off the front of a message.
func muxNumber(b []byte) (n uint32, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(b), b[4:], true
}
