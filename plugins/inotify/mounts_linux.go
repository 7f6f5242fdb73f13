package inotify

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

const mountTable = "/proc/self/mountinfo"

// mount is what is mounted at a path.
type mount struct {
	id     string // changes when something else is mounted there
	fstype string
}

// remote lists the file systems that other hosts change without this kernel hearing of it.
var remote = map[string]bool{
	"9p": true, "afs": true, "beegfs": true, "ceph": true, "cifs": true, "fuse.glusterfs": true,
	"fuse.rclone": true, "fuse.s3fs": true, "fuse.sshfs": true, "gfs2": true, "gpfs": true, "lustre": true,
	"ncpfs": true, "nfs": true, "nfs4": true, "ocfs2": true, "smb3": true, "smbfs": true, "vboxsf": true,
	"virtiofs": true, "vmhgfs": true,
}

// pollMounts tells the watch when the system's mounts change, until table is closed.
func (w *watch) pollMounts(table *os.File) {
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
			case <-w.ctx.Done():
				return
			case <-time.After(w.check):
			}
		}
		select {
		case w.mounted <- struct{}{}:
		default:
		}
	}
}

// readMounts learns what is mounted below the root now.
func (w *watch) readMounts() {
	root, err := filepath.EvalSymlinks(w.root)
	if err != nil {
		return // the root is lost, which is noticed elsewhere
	}
	table, err := os.ReadFile(mountTable)
	if err != nil {
		return
	}
	own, below := parseMounts(bytes.NewReader(table), root)
	w.blindStale = w.blindStale || own != w.ownMount || !maps.Equal(below, w.mounts)
	w.ownMount, w.mounts = own, below
}

// parseMounts returns what root is on, and what is mounted below it by relative path.
func parseMounts(table io.Reader, root string) (own mount, below map[string]mount) {
	below = make(map[string]mount)
	ownLen := 0
	for lines := bufio.NewScanner(table); lines.Scan(); {
		// ID parent major:minor root mountpoint options [tags …] - type source options
		head, tail, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(head)
		if !ok || len(fields) < 5 {
			continue
		}
		fstype, _, _ := strings.Cut(tail, " ")
		m := mount{strings.Join(fields[:4], " "), fstype}
		at := unescape(fields[4])
		if at == root || at == "/" || strings.HasPrefix(root, at+"/") {
			if len(at) >= ownLen { // of several at one path, the last one counts
				own, ownLen = m, len(at)
			}
			continue
		}
		if rel, ok := strings.CutPrefix(at, strings.TrimSuffix(root, "/")+"/"); ok {
			below[rel] = m
		}
	}
	return own, below
}

// unescape undoes the octal escapes of the mount table.
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

// isMount reports whether something is mounted at parent/name, which fd is open on.
func (w *watch) isMount(fd int, parent *node, name string) bool {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, 0, &st)
	if err == nil && st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	}
	// Before Linux 5.8 only the table tells, which may be of another moment.
	if len(w.mounts) == 0 {
		return false
	}
	path, _ := w.tree.path(parent)
	_, ok := w.mounts[join(path, name)]
	return ok
}

// remount looks at every place where something is or was mounted. Mounts may have come and gone since
// the table was read last, and been seen by a walk, so it is not only the differences that count.
func (w *watch) remount() error {
	before := w.mounts
	w.readMounts()
	places := make(map[string]struct{})
	for p := range before {
		places[p] = struct{}{}
	}
	for p := range w.mounts {
		places[p] = struct{}{}
	}
	for n := range w.tree.mounts {
		if p, ok := w.tree.path(n); ok {
			places[p] = struct{}{}
		}
	}
	// Sorted, so that a mount comes before those in it.
	for _, p := range slices.Sorted(maps.Keys(places)) {
		changed := before[p] != w.mounts[p]
		dir, name := path.Split(p)
		parent := w.tree.find(strings.TrimSuffix(dir, "/"))
		if parent == nil || w.exclude.Match(p, true) {
			continue
		}
		fd, err := w.open(parent)
		if err != nil {
			w.doubt[parent] = struct{}{}
			continue
		}
		how := w.look(fd, parent, name, changed)
		unix.Close(fd)
		if changed || how > kept {
			w.report(p, sdk.ScopeSubtree, 0)
		}
	}
	return w.checkRoot()
}
