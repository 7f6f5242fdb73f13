package inotify

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

const (
	// dirEvents is what is watched in every directory. IN_MODIFY is needed besides IN_CLOSE_WRITE for
	// files that are written and never closed, such as logs; the kernel merges it while nothing else
	// happens in between. IN_MASK_ADD keeps a second look at the root from taking rootEvents away.
	dirEvents = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB |
		unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK | unix.IN_MASK_ADD
	// rootEvents is watched in the root besides. Of other directories the parent tells as much.
	rootEvents = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
)

// kernel is one inotify instance.
type kernel struct {
	fd   int
	file *os.File // owns fd; for reading through the runtime's poller, so that Close ends a Read
}

func newKernel() (*kernel, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	switch err {
	case nil:
		return &kernel{fd: fd, file: os.NewFile(uintptr(fd), "inotify")}, nil
	case unix.EMFILE:
		return nil, sdk.Misconfigured(instancesError())
	default:
		return nil, fmt.Errorf("start inotify: %w", err)
	}
}

func (k *kernel) close() { _ = k.file.Close() } // events are only read from it

// add watches the directory that dir is open on, wherever it is by now, and returns its descriptor: the
// one it has already if it is watched.
func (k *kernel) add(dir int, events uint32) (int32, error) {
	// The link in /proc leads to the open directory itself, not to its path: no other can get in
	// between, and no path is too long.
	wd, err := unix.InotifyAddWatch(k.fd, "/proc/self/fd/"+strconv.Itoa(dir), events)
	return int32(wd), err
}

func (k *kernel) remove(wd int32) {
	// EINVAL: the directory is gone, and the watch with it.
	_, _ = unix.InotifyRmWatch(k.fd, uint32(wd))
}

// defaultInstances is the kernel's own limit of inotify instances per user: inotify(7), fs/notify/inotify.
const defaultInstances = 128

// instancesError explains EMFILE at inotify_init1(2), which stands for two limits.
func instancesError() error {
	var lim unix.Rlimit
	open, err := os.ReadDir("/proc/self/fd")
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) == nil && (err != nil || uint64(len(open)) >= lim.Cur) {
		return fmt.Errorf("start inotify: all %d file descriptors that this process may have are in use; "+
			"raise the limit (LimitNOFILE= in a systemd unit, `ulimit -n` in a shell)", lim.Cur)
	}
	name, value := smallerLimit("max_user_instances", "max_inotify_instances")
	return fmt.Errorf("start inotify: all inotify instances that this user may have are in use (%s = %d); run %s",
		name, value, raise(name, max(2*value, defaultInstances)))
}

// smallerLimit returns the name and value of the limit that is the smaller one: the system's, or the
// one of the user namespace that this process is in.
func smallerLimit(system, namespace string) (name string, value int64) {
	name, value = "fs.inotify."+system, readInt("/proc/sys/fs/inotify/"+system)
	if v := readInt("/proc/sys/user/" + namespace); v < value {
		name, value = "user."+namespace, v
	}
	return name, value
}

// readInt returns the number in a file, or the largest one when there is none.
func readInt(file string) int64 {
	text, err := os.ReadFile(file)
	if err == nil {
		if v, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
			return v
		}
	}
	return 1<<63 - 1
}

// raise returns the commands that set a limit, now and for good.
func raise(name string, value int64) string {
	return fmt.Sprintf("`sysctl -w %[1]s=%[2]d`, and to make it last `echo %[1]s=%[2]d > /etc/sysctl.d/60-filewatch.conf`",
		name, value)
}
