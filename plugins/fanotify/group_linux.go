package fanotify

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

const (
	// fsEvents is what is watched in every file system. FAN_MODIFY is needed besides FAN_CLOSE_WRITE for
	// files that are written and never closed, such as logs; the kernel merges it with what waits.
	fsEvents = names | writes | unix.FAN_ONDIR
	// rootEvents is watched on the root itself.
	rootEvents = unix.FAN_DELETE_SELF | unix.FAN_MOVE_SELF | unix.FAN_ONDIR
)

// group is one fanotify group: marks, and the queue of what they report. The queue is in order across
// all marks.
type group struct {
	fd   int
	file *os.File // owns fd; for reading through the runtime's poller, so that Close ends a Read
}

// newGroup makes a group without marks.
func (t tuning) newGroup() (*group, error) {
	const flags = unix.FAN_CLASS_NOTIF | unix.FAN_CLOEXEC | unix.FAN_NONBLOCK | unix.FAN_REPORT_DFID_NAME_TARGET
	fd, err := -1, error(unix.EPERM)
	if !t.shortQueue {
		fd, err = unix.FanotifyInit(flags|unix.FAN_UNLIMITED_QUEUE, unix.O_RDONLY|unix.O_CLOEXEC)
	}
	if err == unix.EPERM {
		fd, err = unix.FanotifyInit(flags, unix.O_RDONLY|unix.O_CLOEXEC)
	}
	if err != nil {
		return nil, startError(err)
	}
	return &group{fd: fd, file: os.NewFile(uintptr(fd), "fanotify")}, nil
}

func (g *group) close() { _ = g.file.Close() } // events are only read from it

// add watches the file system that fd is open in. Doing it again changes nothing.
func (g *group) add(fd int) error {
	return g.mark(unix.FAN_MARK_ADD|unix.FAN_MARK_FILESYSTEM, fsEvents, fd)
}

// watches reports whether the file system that fd is open in has its mark. The kernel takes a mark away
// with its file system, and does not tell.
func (g *group) watches(fd int) bool {
	// Taking away what is not there does nothing, but fails when there is no mark at all.
	return g.mark(unix.FAN_MARK_REMOVE|unix.FAN_MARK_FILESYSTEM, unix.FAN_ACCESS, fd) != unix.ENOENT
}

func (g *group) mark(flags uint, mask uint64, fd int) error {
	// The link in /proc leads to the open file itself, and does so for O_PATH too.
	return unix.FanotifyMark(g.fd, flags, mask, unix.AT_FDCWD, link(fd))
}

// link returns the path that leads to what fd is open on.
func link(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

const instead = "use `watcher \"inotify\" {}`"

// startError explains the failure of fanotify_init(2).
func startError(err error) error {
	switch err {
	case unix.ENOSYS, unix.EINVAL:
		return sdk.Misconfigured(fmt.Errorf("start fanotify: this kernel (%s) cannot report which file an entry leads to, which takes Linux 5.17; %s", release(), instead))
	case unix.EPERM:
		return privilegeError("start fanotify")
	case unix.EMFILE:
		var lim unix.Rlimit
		open, lookErr := os.ReadDir("/proc/self/fd")
		if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) == nil && (lookErr != nil || uint64(len(open)) >= lim.Cur) {
			return sdk.Misconfigured(fmt.Errorf("start fanotify: all %d file descriptors that this process may have are in use; "+
				"raise the limit (LimitNOFILE= in a systemd unit, `ulimit -n` in a shell)", lim.Cur))
		}
		return sdk.Misconfigured(fmt.Errorf("start fanotify: all fanotify groups that this user may have are in use; "+
			"raise fs.fanotify.max_user_groups with sysctl(8), and user.max_fanotify_groups in a container, or %s", instead))
	}
	return fmt.Errorf("start fanotify: %w", err)
}

// markError explains why the file system of root cannot be watched.
func markError(root, fstype string, err error) error {
	what := fmt.Sprintf("watch %s with fanotify", root)
	if err == unix.EPERM {
		return privilegeError(what)
	}
	return sdk.Misconfigured(fmt.Errorf("%s: %s; %s", what, refusal(fstype, err), instead))
}

// refusal says why the kernel does not watch a file system as a whole.
func refusal(fstype string, err error) string {
	switch err {
	case unix.EXDEV:
		return fmt.Sprintf("it is on a subvolume of a %s file system, and the kernel watches those only as a whole (%v)", fstype, err)
	case unix.EOPNOTSUPP, unix.ENODEV, unix.EINVAL:
		return fmt.Sprintf("file systems of type %s have no lasting identity or file handles, by which the kernel reports changes (%v)", fstype, err)
	case unix.ENOSPC:
		return "all fanotify marks that this user may have are in use (fs.fanotify.max_user_marks)"
	}
	return fmt.Sprintf("the kernel refuses to watch the %s file system: %v", fstype, err)
}

// privilegeError says which capabilities are needed.
func privilegeError(what string) error {
	return sdk.Misconfigured(fmt.Errorf("%s: %w; it takes the capabilities CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH "+
		"(run as root, or put AmbientCapabilities=CAP_SYS_ADMIN CAP_DAC_READ_SEARCH into the systemd unit), or %s", what, unix.EPERM, instead))
}

// release returns the kernel's version.
func release() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown version"
	}
	return strings.TrimSpace(string(text))
}
