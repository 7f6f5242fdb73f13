package mountinfo

import (
	"context"
	"errors"
	"os"
	"time"
)

// Table is the file with all mounts that this process sees.
const Table = "/proc/self/mountinfo"

// Read returns all mounts that this process sees.
func Read() ([]Mount, error) {
	text, err := os.ReadFile(Table)
	if err != nil {
		return nil, err
	}
	return Parse(string(text)), nil
}

// Poll calls changed, which must not block, at first and whenever the mounts may have changed, until table,
// the opened Table, is closed and ctx has ended. On a kernel that does not tell, it calls it every now and
// then.
func Poll(ctx context.Context, table *os.File, every time.Duration, changed func()) {
	conn, err := table.SyscallConn()
	for err == nil {
		// The kernel wakes who polls the table on every change. It always counts as readable, so it is
		// the waking that matters: hence the false, which waits for the next one. Only from the first
		// call on are wakings remembered, so what came since the last one is told there.
		waited := false
		err = conn.Read(func(uintptr) bool {
			if !waited {
				changed()
			}
			done := waited
			waited = true
			return done
		})
		if err != nil && !errors.Is(err, os.ErrClosed) {
			err = nil // this kernel's table cannot be polled
			select {
			case <-ctx.Done():
				return
			case <-time.After(every):
			}
		}
	}
}
