// Package mountinfo tells what the system has mounted, and when that changes.
package mountinfo

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"
)

// Table is the file with all mounts that this process sees.
const Table = "/proc/self/mountinfo"

// Mount is one line of the table.
type Mount struct {
	ID     uint64
	Line   string // what tells it from another one that is, or was, at the same place
	FSType string
	Point  string // the absolute path that it is mounted at
}

// remote lists the file systems that other hosts change without this kernel hearing of it.
var remote = map[string]bool{
	"9p": true, "afs": true, "beegfs": true, "ceph": true, "cifs": true, "gfs2": true, "gpfs": true,
	"lustre": true, "ncpfs": true, "nfs": true, "nfs4": true, "ocfs2": true, "smb3": true, "smbfs": true,
	"vboxsf": true, "virtiofs": true, "vmhgfs": true,
}

// Remote reports whether file systems of the type are changed by other hosts or programs without this
// kernel hearing of it. What a FUSE file system shows is up to the program that serves it; "fuseblk" is for
// local disks.
func Remote(fstype string) bool {
	return remote[fstype] || fstype == "fuse" || strings.HasPrefix(fstype, "fuse.")
}

// Foreign says why what is on a file system of such a type is not watched.
func Foreign(fstype string) string {
	return "changes made elsewhere cause no events here on file systems of type " + fstype
}

// Parse returns the mounts in the text of a table. Of several at one path, the last one is on top.
func Parse(table string) (mounts []Mount) {
	for line := range strings.Lines(table) {
		// ID parent major:minor root mountpoint options [tags …] - type source options
		head, tail, ok := strings.Cut(line, " - ")
		fields := strings.Fields(head)
		if !ok || len(fields) < 5 {
			continue
		}
		id, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			continue
		}
		fstype, _, _ := strings.Cut(tail, " ")
		mounts = append(mounts, Mount{id, strings.Join(fields[:4], " "), fstype, unescape(fields[4])})
	}
	return mounts
}

// unescape undoes the octal escapes of the table.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Poll calls changed when the mounts have changed, until table, the opened Table, is closed and ctx has
// ended. On a kernel that does not tell, it calls it every now and then.
func Poll(ctx context.Context, table *os.File, every time.Duration, changed func()) {
	conn, err := table.SyscallConn()
	for err == nil {
		// The kernel wakes who polls the table on every change. It always counts as readable, so it is
		// the waking that matters: hence the false, which waits for the next one.
		waited := false
		err = conn.Read(func(uintptr) bool {
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
		changed()
	}
}
