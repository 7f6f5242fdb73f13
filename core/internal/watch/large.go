package watch

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/filewatch/filewatch/core/internal/mounts"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

const (
	// manyDirs is how many directories make a tree large: to watch each by itself takes inotify about a
	// second, and some 50 MB of the kernel's memory (about 1 KB each).
	manyDirs = 50_000
	// maxCount is how long directories are counted. A tree that takes longer is one that it takes long to
	// watch directory by directory, too.
	maxCount = 5 * time.Second
)

// large says why the tree is one that should not be watched directory by directory, or returns "".
func large(ctx context.Context, req sdk.WatchRequest) string {
	limit, source := manyDirs, fmt.Sprint("more than ", manyDirs, " directories")
	// The limit is the user's, whose other programs need watches too.
	if name, value := watchLimit(); value/2 < int64(limit) {
		limit, source = int(value/2), fmt.Sprintf("more directories than half of %s (%d)", name, value)
	}
	points := mounts.Points(req.Root)
	if used, ok := usedInodes(req.Root); ok && used <= uint64(limit) && len(points) == 0 {
		return ""
	}
	exclude, err := filter.Parse(req.Exclude)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, maxCount)
	defer cancel()
	switch n, all := countDirs(ctx, req.Root, exclude, points, limit); {
	case n > limit:
		return "the tree has " + source
	case !all:
		return fmt.Sprintf("the tree has more directories than can be counted in %v", maxCount)
	}
	return ""
}

// watchLimit returns the smaller one of the two limits of inotify watches, with its name.
func watchLimit() (name string, value int64) {
	name, value = "fs.inotify.max_user_watches", readInt("/proc/sys/fs/inotify/max_user_watches")
	if v := readInt("/proc/sys/user/max_inotify_watches"); v < value {
		name, value = "user.max_inotify_watches", v
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

// countDirs counts the directories of a tree; past limit it may stop. Of mount points it counts nothing but
// themselves: a server may not answer. It reports false when ctx ended before.
func countDirs(ctx context.Context, root string, exclude *filter.Filter, points []string, limit int) (n int, all bool) {
	n = 1
	for pending := []string{""}; len(pending) > 0; {
		dir := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if ctx.Err() != nil {
			return n, false
		}
		if slices.Contains(points, dir) || isLeaf(filepath.Join(root, dir)) {
			continue
		}
		f, err := os.Open(filepath.Join(root, dir))
		if err != nil {
			continue
		}
		for more := true; more; {
			var entries []fs.DirEntry
			entries, err = f.ReadDir(1024)
			more = err == nil
			for _, e := range entries {
				path := strings.TrimPrefix(dir+"/"+e.Name(), "/")
				if e.IsDir() && !exclude.Match(path, true) {
					pending = append(pending, path)
					n++
				}
			}
			if n > limit || ctx.Err() != nil {
				_ = f.Close()
				return n, n > limit
			}
		}
		_ = f.Close()
	}
	return n, true
}

// isLeaf reports whether there are no directories in one, as far as its link count tells: each of them has a "..". That
// of ext4, xfs and tmpfs does; file systems that do not count them say 1. Most directories are leaves, and need not be read.
func isLeaf(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil {
		return true
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 2
}
