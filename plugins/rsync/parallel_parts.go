package rsync

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"
)

const (
	// minEntries is from how many entries on a comparison is split. One run compares so many in some 50 ms,
	// which is what a further run costs before it does anything.
	minEntries = 10_000
	// partsEach is how many parts there are for each run at a time: enough for one with most of the tree
	// to be taken apart itself.
	partsEach = 64
	// maxFiles is how much else than directories a directory that is taken apart may hold: all that goes in one run.
	maxFiles = 1000
	// maxDirectory is how much of a directory is read. One that holds more is not taken apart.
	maxDirectory = 200_000
	// maxAtOnce is how many entries a run may list at once. They take some 100 bytes each at both ends, so all runs that there
	// may be take 120 MB.
	maxAtOnce = 200_000
)

// partition is a comparison taken apart: nothing is in two of its parts, and everything that is in none lies directly in one
// of its levels.
type partition struct {
	parts  []string // directories to be compared with all that is in them
	levels []string // directories above them
}

// partition takes subtrees apart, of which no one is in another. It reads no more of them than tells whether that
// is worth it, the upper levels first; false means that it is not.
func (s *session) partition(roots []string) (partition, bool) {
	listings := map[string]listing{}
	queue, seen := slices.Clone(roots), 0
	for i := 0; i < len(queue) && seen < s.t.minSplit; i++ {
		l := s.list(queue[i])
		listings[queue[i]] = l
		queue = append(queue, l.dirs...)
		seen += l.entries
	}
	if seen < s.t.minSplit {
		return partition{}, false
	}
	var levels []string
	parts := roots
	for more := true; more && len(parts) < partsEach*s.config.Parallel; {
		more = false
		var next []string
		for _, dir := range parts {
			l := listings[dir]
			if !l.whole || len(l.dirs) == 0 || l.files > maxFiles && !slices.Contains(roots, dir) {
				next = append(next, dir)
				continue
			}
			levels = append(levels, dir)
			next = append(next, l.dirs...)
			more = true
		}
		parts = next
	}
	if len(parts) < 2 || len(levels) == 0 {
		return partition{}, false
	}
	slices.Sort(parts)
	slices.Sort(levels)
	return partition{parts, levels}, true
}

// listing is what lies directly in a directory.
type listing struct {
	whole   bool     // it was read to its end, and nothing speaks against taking the directory apart
	dirs    []string // that are not excluded
	files   int      // all else
	entries int
}

// list reads a directory.
func (s *session) list(dir string) listing {
	var l listing
	f, err := s.openDir(dir)
	if err != nil {
		return l
	}
	defer f.Close()
	for l.entries < maxDirectory {
		entries, err := f.ReadDir(1000)
		for _, e := range entries {
			if !e.IsDir() {
				l.files++
				continue
			}
			switch p := path.Join(dir, e.Name()); {
			case checkPath(p) != "":
				return l
			case !s.filter.Excluded(p, true):
				l.dirs = append(l.dirs, p)
			}
		}
		l.entries += len(entries)
		if err != nil {
			l.whole = err == io.EOF
			return l
		}
	}
	return l
}

// fit returns how many of the parts go in one run, one at least, and whether that may list all they hold at once.
func (s *session) fit(ctx context.Context, parts []string) (n int, atOnce bool) {
	left, atOnce := s.t.maxAtOnce, true
	for i, part := range parts {
		held, whole := s.holds(ctx, part, left)
		if held > left {
			return max(i, 1), atOnce && i > 0
		}
		left -= held
		atOnce = atOnce && whole
	}
	return len(parts), atOnce
}

// holds counts the entries of a subtree, those excluded too but not what is in them. It reads little more than tells that
// there are more than most. False means that something cannot be read, or ctx has ended.
func (s *session) holds(ctx context.Context, dir string, most int) (n int, whole bool) {
	n = 1
	for queue := []string{dir}; len(queue) > 0 && n <= most; {
		last := len(queue) - 1
		l := s.list(queue[last])
		queue = append(queue[:last], l.dirs...)
		n += l.entries
		if !l.whole || ctx.Err() != nil {
			return n, false
		}
	}
	return n, true
}

// openDir opens a directory of the source. One that was replaced by a link to another one is none.
func (s *session) openDir(dir string) (*os.File, error) {
	return os.OpenFile(withSlash(s.req.Source)+dir, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
}

// isGone reports whether an error says that there is nothing.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }
