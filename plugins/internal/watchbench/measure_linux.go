package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// userMemory returns the memory of a process in bytes: its proportional set size (PSS).
func userMemory(pid int) (int64, error) {
	return field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
}

// kernelMemory returns what the kernel uses for objects that it cannot take back when memory is short.
// The marks of inotify and fanotify are such, and share their caches with other objects, so that
// /proc/slabinfo does not tell them apart.
func kernelMemory() (int64, error) { return field("/proc/meminfo", "SUnreclaim:") }

// settledKernelMemory is kernelMemory once the kernel has freed what it frees later.
func settledKernelMemory() (int64, error) {
	const enough = 64 << 10
	last, err := kernelMemory()
	for range 50 {
		if err != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
		var now int64
		if now, err = kernelMemory(); now > last-enough {
			return now, err
		}
		last = now
	}
	return last, err
}

// field returns the value of a field that is counted in kB, in bytes.
func field(file, name string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name {
			kB, err := strconv.ParseInt(fields[1], 10, 64)
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no field %q", file, name)
}

// processorTime returns the time that a process has used the processors.
func processorTime(pid int) (time.Duration, error) {
	// How the id of a process makes that of a clock: clock_getcpuclockid(3).
	var ts unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|2), &ts)
	return time.Duration(ts.Nano()), err
}

// fileSystem returns the type of the file system that path is in, and what the inode of a directory there
// takes of the kernel's memory; 0 when that cannot be told.
func fileSystem(path string) (name string, inode int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "", 0, err
	}
	known := map[int64][2]string{
		unix.EXT4_SUPER_MAGIC:  {"ext4", "ext4_inode_cache"},
		unix.XFS_SUPER_MAGIC:   {"xfs", "xfs_inode"},
		unix.BTRFS_SUPER_MAGIC: {"btrfs", "btrfs_inode"},
		unix.TMPFS_MAGIC:       {"tmpfs", "shmem_inode_cache"},
	}
	fs, ok := known[int64(st.Type)]
	if !ok {
		return fmt.Sprintf("file system %#x", st.Type), 0, nil
	}
	text, err := os.ReadFile("/proc/slabinfo") // for root alone
	if err != nil {
		return fs[0], 0, nil
	}
	for line := range strings.Lines(string(text)) {
		// name, objects in use, objects, size of one
		if fields := strings.Fields(line); len(fields) > 3 && fields[0] == fs[1] {
			inode, _ = strconv.ParseInt(fields[3], 10, 64)
		}
	}
	return fs[0], inode, nil
}

// maxWatches returns how many directories one inotify instance of this user may watch, with something left
// for others.
func maxWatches() int {
	limit := 1 << 62
	for _, file := range []string{"/proc/sys/fs/inotify/max_user_watches", "/proc/sys/user/max_inotify_watches"} {
		if text, err := os.ReadFile(file); err == nil {
			if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
				limit = min(limit, n)
			}
		}
	}
	return limit - limit/100
}

// load returns how many processes wanted a processor in the last minute.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
