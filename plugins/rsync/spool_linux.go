package rsync

import (
	"os"

	"golang.org/x/sys/unix"
)

// spoolFile returns a file in memory.
func spoolFile() *os.File {
	fd, err := unix.MemfdCreate("rsync's output", unix.MFD_CLOEXEC)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), "rsync's output")
}

// forget gives back the memory of what has been passed on. Where that cannot be done it is as much as there is
// output.
func (s *spool) forget() {
	_ = unix.Fallocate(int(s.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, s.passed)
}
