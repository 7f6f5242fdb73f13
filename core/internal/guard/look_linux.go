package guard

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk/mountinfo"
)

// disk looks at real directories.
type disk struct {
	mu    sync.Mutex
	id    uint64 // unique id of the mount that was looked up last; 0 = none
	mount mountinfo.Mount
}

func newDisk() Looker { return &disk{} }

// Look implements Looker. All it asks is asked of one open directory, so that no change of the path or of
// the mounts meanwhile can mix two.
func (d *disk) Look(root string, ignored func(string, bool) bool) (s Sight, err error) {
	fd, err := open(root, unix.O_RDONLY)
	if err != nil {
		return s, &os.PathError{Op: "open", Path: root, Err: err}
	}
	f := os.NewFile(uintptr(fd), root)
	defer f.Close()
	if s.Empty, err = empty(f, ignored); err != nil {
		return s, err
	}
	s.Identity, err = d.identify(fd)
	if err != nil {
		return s, &os.PathError{Op: "identify", Path: root, Err: err}
	}
	return s, nil
}

// openDir opens a directory for nothing but to have it open, which takes no right to read it.
func openDir(path string) (fd int, err error) { return open(path, unix.O_PATH) }

func open(path string, how int) (fd int, err error) {
	err = retry(func() (err error) {
		fd, err = unix.Open(path, how|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

func (d *disk) identify(fd int) (id Identity, err error) {
	mountID, err := stat(fd, &id)
	if err != nil {
		return id, err
	}
	if id.Handle, err = handle(fd); err != nil {
		return id, err
	}
	mount, err := d.mountOf(fd, mountID)
	if err != nil {
		return id, err
	}
	id.UUID = fsUUID(fd)
	id.Type = mount.FSType
	id.Mount = Mount{Point: Path(mount.Point), Source: Path(mount.Source), Root: Path(mount.Root)}
	if path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err == nil {
		id.Path = Path(path)
	}
	return id, nil
}

// stat fills in the inode and its birth, and returns the mount's unique id (Linux 6.8), or 0.
func stat(fd int, id *Identity) (mountID uint64, err error) {
	var st unix.Statx_t
	err = retry(func() error {
		return unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME|unix.STATX_MNT_ID_UNIQUE, &st)
	})
	if errors.Is(err, unix.ENOSYS) { // before Linux 4.11
		var old unix.Stat_t
		err = retry(func() error { return unix.Fstat(fd, &old) })
		id.Inode = old.Ino
		return 0, err
	}
	if err != nil {
		return 0, err
	}
	id.Inode = st.Ino
	if st.Mask&unix.STATX_BTIME != 0 {
		id.Born = time.Unix(st.Btime.Sec, int64(st.Btime.Nsec)).UnixNano()
	}
	if st.Mask&unix.STATX_MNT_ID_UNIQUE != 0 {
		mountID = st.Mnt_id
	}
	return mountID, nil
}

// atHandleFID asks for a handle that need not be good for open_by_handle_at (AT_HANDLE_FID, Linux 6.5).
const atHandleFID = 0x200

// handle returns the file handle. The plain one is asked for first: it is what older kernels know, so that
// an upgrade changes nothing.
func handle(fd int) (string, error) {
	for _, flags := range []int{unix.AT_EMPTY_PATH, unix.AT_EMPTY_PATH | atHandleFID} {
		var h unix.FileHandle
		err := retry(func() (err error) {
			h, _, err = unix.NameToHandleAt(fd, "", flags)
			return err
		})
		switch {
		case err == nil:
			return strconv.Itoa(int(h.Type())) + ":" + hex.EncodeToString(h.Bytes()), nil
		case errors.Is(err, unix.EIO), errors.Is(err, unix.ESTALE), errors.Is(err, unix.ENOMEM):
			return "", err
		}
	}
	// EOPNOTSUPP, EOVERFLOW, EINVAL, ENOSYS or EPERM: not with this kernel, file system or sandbox.
	return "", nil
}

// fsGetUUID is FS_IOC_GETFSUUID of <linux/fs.h>: _IOR(0x15, 0, struct fsuuid2), Linux 6.9. Where ioctl
// numbers are made up otherwise (MIPS, PowerPC), it is none, and no UUID is told.
const fsGetUUID = 2<<30 | unsafe.Sizeof(fsUUID2{})<<16 | 0x15<<8

type fsUUID2 struct {
	len  uint8
	uuid [16]uint8
}

// fsUUID returns the UUID of the file system, or "" when it tells none.
func fsUUID(fd int) string {
	var u fsUUID2
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsGetUUID, uintptr(unsafe.Pointer(&u))); errno != 0 || u.uuid == [16]uint8{} {
		return ""
	}
	return hex.EncodeToString(u.uuid[:min(int(u.len), len(u.uuid))])
}

// mountOf returns the mount that an open file is on; it is zero when /proc does not tell. The table of
// mounts can be long, so it is read only for another mount than last time. Before Linux 6.8, no number
// says for sure that it is another.
func (d *disk) mountOf(fd int, unique uint64) (mountinfo.Mount, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if unique != 0 && d.id == unique {
		return d.mount, nil
	}
	info, err := readProc("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return mountinfo.Mount{}, err
	}
	_, rest, found := strings.Cut(info, "mnt_id:")
	if !found {
		return mountinfo.Mount{}, nil
	}
	line, _, _ := strings.Cut(rest, "\n")
	id, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return mountinfo.Mount{}, fmt.Errorf("look up the mount: %w", err)
	}
	table, err := mounts()
	if err != nil {
		return mountinfo.Mount{}, err
	}
	for _, m := range table {
		if m.ID == id {
			d.id, d.mount = unique, m
			return m, nil
		}
	}
	return mountinfo.Mount{}, nil // outside of a chroot
}

// Mounted implements Looker.
func (d *disk) Mounted(point Path) bool {
	table, err := mounts()
	if err != nil || len(table) == 0 {
		return true
	}
	for _, m := range table {
		if m.Point == string(point) {
			return true
		}
	}
	return false
}

// mounts returns all mounts that this process sees, none where /proc is not mounted.
func mounts() ([]mountinfo.Mount, error) {
	text, err := readProc(mountinfo.Table)
	return mountinfo.Parse(text), err
}

// readProc reads a file of /proc, which is empty where /proc is not mounted.
func readProc(name string) (string, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up the mount: %w", err)
	}
	return string(text), nil
}

// retry calls f again when a signal came, as of the Go runtime, while a server was asked.
func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
