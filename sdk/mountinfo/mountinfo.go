// Package mountinfo reads what the system has mounted, and tells when that changes. It is for Linux; the
// table of other systems is empty.
package mountinfo

import (
	"strconv"
	"strings"
)

// Mount is one line of the table. Two that are equal are the same mount at the same place.
type Mount struct {
	ID     uint64 // given anew when it is no longer mounted
	Parent uint64 // ID of the mount that it is mounted in
	Device string // major:minor
	Root   string // what of the file system is mounted, from its own root
	Point  string // absolute path that it is mounted at
	FSType string
	Source string // the device or the server, as whoever mounted it wrote it
}

// Parse returns the mounts in a text as in proc_pid_mountinfo(5). Of several at one path, the last one is on
// top. Lines that are not understood are left out.
func Parse(table string) (mounts []Mount) {
	for line := range strings.Lines(table) {
		// ID parent major:minor root mountpoint options [tags …] - type source options
		head, tail, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		where, what := strings.Split(head, " "), strings.Split(tail, " ")
		if !ok || len(where) < 6 || len(what) < 2 {
			continue
		}
		id, err := strconv.ParseUint(where[0], 10, 64)
		parent, err2 := strconv.ParseUint(where[1], 10, 64)
		if err != nil || err2 != nil {
			continue
		}
		mounts = append(mounts, Mount{
			ID: id, Parent: parent, Device: where[2], Root: unescape(where[3]), Point: unescape(where[4]),
			FSType: unescape(what[0]), Source: unescape(what[1]),
		})
	}
	return mounts
}

// unescape undoes the kernel's escapes for space, tab, newline, backslash and "#": \ and three octal digits.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
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
