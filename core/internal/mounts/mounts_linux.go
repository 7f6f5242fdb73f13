package mounts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/core/internal/answer"
	"github.com/filewatch/filewatch/sdk/mountinfo"
)

// recheck is how often the mounts are looked at where the kernel does not tell that they changed, and how
// often it is looked whether a mount point that is held has been removed.
const recheck = time.Minute

// Points returns the paths below root, relative to it, where something is mounted.
func Points(root string) []string {
	var all []string
	for p := range mountsBelow(&answer.Paths{}, root) {
		all = append(all, p)
	}
	return all
}

// mountsBelow returns nil when the root is not there or there is no table.
func mountsBelow(paths *answer.Paths, root string) map[string]mountinfo.Mount {
	real, err := answer.Within(paths, root, func() (string, error) { return filepath.EvalSymlinks(root) })
	if err != nil {
		return nil
	}
	all, err := mountinfo.Read()
	if err != nil {
		return nil
	}
	return visible(all, real)
}

func kernel() system {
	var paths answer.Paths
	return system{below: func(root string) (map[string]identity, bool) { return below(&paths, root) }, changed: changes(), hides: hides, exists: exists}
}

func below(paths *answer.Paths, root string) (map[string]identity, bool) {
	all := mountsBelow(paths, root)
	if all == nil {
		return nil, false
	}
	ids := make(map[string]identity, len(all))
	for p, m := range all {
		ids[p] = identify(path.Join(root, p), m)
	}
	return ids, true
}

// identify tells what is mounted at a path. Nothing that a server answers for is touched.
func identify(at string, m mountinfo.Mount) identity {
	i := identity{
		id:   m.ID,
		key:  strings.Join([]string{m.FSType, m.Device, m.Root}, " "),
		what: fmt.Sprintf("%s (%s)", m.FSType, m.Source),
	}
	switch {
	case m.FSType == "autofs":
		i.auto = true
	case !strings.HasPrefix(m.Device, "0:"):
		// Device numbers are given anew, what the file system calls itself is not.
		i.device = true
		var st unix.Statfs_t
		if unix.Statfs(at, &st) == nil && st.Fsid != (unix.Fsid{}) {
			i.key = strings.Join([]string{m.FSType, m.Root, fmt.Sprint(st.Fsid.Val)}, " ")
		}
	case strings.ContainsAny(m.Source, "/:"):
		// A server, a FUSE mount, a btrfs subvolume: its device number is another one each time.
		i.device = true
		i.key = strings.Join([]string{m.FSType, m.Source, m.Root}, " ")
	default:
		// Numbers of mounts are given anew too; the kernel has others that are not, since Linux 6.8.
		var st unix.Statx_t
		err := unix.Statx(unix.AT_FDCWD, at, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID_UNIQUE, &st)
		if err == nil && st.Mask&unix.STATX_MNT_ID_UNIQUE != 0 {
			i.id = st.Mnt_id
		}
	}
	return i
}

// boot names the running system: another one after each boot, "" where that is not known.
func boot() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// changes returns a function that reports whether the mount table may have changed since it was called
// last.
func changes() func() bool {
	c, err := mountinfo.NewChanges()
	if err != nil {
		return func() bool { return true }
	}
	// Closed when nobody has the function any more.
	held := &struct{ *mountinfo.Changes }{c}
	runtime.AddCleanup(held, func(c *mountinfo.Changes) { _ = c.Close() }, c)
	return func() bool { return held.Happened() }
}

// notify calls changed each time when the mount table has changed, and now and then, until ctx ends.
func notify(ctx context.Context, changed func()) {
	woken := make(chan struct{}, 1)
	if table, err := os.Open(mountinfo.Table); err == nil {
		var polling sync.WaitGroup
		polling.Go(func() {
			mountinfo.Poll(ctx, table, recheck, func() {
				select {
				case woken <- struct{}{}:
				default:
				}
			})
		})
		defer polling.Wait()
		defer table.Close()
	}
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-woken:
		case <-tick.C:
		}
		changed()
	}
}

// hides reports whether there is anything in the directory that something is mounted on, or whether that
// cannot be told: it takes the privilege to mount.
func hides(root, rel string) bool {
	dir, name := filepath.Split(filepath.Join(root, rel))
	// A copy of the mount that the directory is in shows it without what is mounted below.
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	under, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return !errors.Is(err, unix.ENOENT)
	}
	f := os.NewFile(uintptr(under), name)
	defer f.Close()
	names, err := f.Readdirnames(1)
	return len(names) > 0 || err != io.EOF
}

// exists reports whether there is anything at a path, or whether that cannot be told.
func exists(root, rel string) bool {
	_, err := os.Lstat(filepath.Join(root, rel))
	return !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOTDIR)
}
