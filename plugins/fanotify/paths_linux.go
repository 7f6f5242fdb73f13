package fanotify

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// openFlags never block and follow no symlink.
const openFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

func openat(dir int, name string, flags int) (fd int, err error) {
	for {
		if fd, err = unix.Openat(dir, name, flags, 0); err != unix.EINTR {
			return fd, err
		}
	}
}

// join returns the path of name in dir.
func join(dir, name string) string {
	switch {
	case dir == "":
		return name
	case name == "":
		return dir
	}
	return dir + "/" + name
}

// parentOf returns the path of the directory that p, which is not the root, is in.
func parentOf(p string) string {
	return p[:max(strings.LastIndexByte(p, '/'), 0)]
}

// below returns path, which is absolute, relative to dir. It reports false when it is not dir and not
// below it.
func below(path, dir string) (rel string, ok bool) {
	if path == dir {
		return "", true
	}
	return strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// maxUnwatched is how many unwatched subtrees are named; past it their common parents are.
const maxUnwatched = 1000

// topmost returns the paths, sorted, without those that lie below another one.
func topmost(paths []string) []string {
	set := make(map[string]struct{}, len(paths))
	for _, p := range paths {
		set[p] = struct{}{}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(set)), func(p string) bool {
		for p != "" {
			p = parentOf(p)
			if _, ok := set[p]; ok {
				return true
			}
		}
		return false
	})
}

// fewer replaces the deepest of the topmost paths by their parents until at most limit are left.
func fewer(paths []string, limit int) []string {
	paths = slices.Clone(paths)
	for len(paths) > limit {
		depth := 0
		for _, p := range paths {
			depth = max(depth, strings.Count(p, "/"))
		}
		for i, p := range paths {
			if strings.Count(p, "/") == depth {
				paths[i] = parentOf(p)
			}
		}
		paths = topmost(paths)
	}
	return paths
}
