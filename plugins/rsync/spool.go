package rsync

import (
	"io"
	"os"
	"time"
)

// rsync writes each line of its output by itself, and through a pipe each wakes the reader. What goes to a file is read
// now and then, many lines at a time. A first sync of 200,000 small files over ssh, from the start of the daemon on, in
// the time of an rsync that says nothing: 1.35 with a pipe, 1.20 with a file (two cores, both ends on them).

// spoolEvery is how often a spool is read: twice as often as anybody is told.
const spoolEvery = progressEvery / 2

// spool takes a process's output and passes it on.
type spool struct {
	to     io.Writer
	file   *os.File // nil = there is none, and a pipe must do
	passed int64
	buf    []byte
}

func newSpool(to io.Writer) *spool {
	return &spool{to: to, file: spoolFile(), buf: make([]byte, 64<<10)}
}

// stdout is what the process is to write to.
func (s *spool) stdout() io.Writer {
	if s.file == nil {
		return s.to
	}
	return s.file
}

// follow passes on what is written until the process has ended, and then the rest.
func (s *spool) follow(ended <-chan struct{}) {
	if s.file == nil {
		return
	}
	defer s.file.Close()
	tick := time.NewTicker(spoolEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.pass()
		case <-ended:
			s.pass()
			return
		}
	}
}

// pass passes on what has been written. It does not move the file's offset, which is the process's, too.
func (s *spool) pass() {
	for {
		n, err := s.file.ReadAt(s.buf, s.passed)
		s.passed += int64(n)
		_, _ = s.to.Write(s.buf[:n]) // output.Write, which does not fail
		s.forget()
		if err != nil {
			return
		}
	}
}
