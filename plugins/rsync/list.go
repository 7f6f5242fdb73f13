package rsync

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// maxEntry is the longest line of a list: rsync cuts longer ones silently (MAXPATHLEN) and would then
// act on another path.
const maxEntry = 4095

// lstat looks at a path below the root without following it. "" is not asked for.
type lstat func(path string) (mode fs.FileMode, size int64, err error)

// work is a request taken apart, by what the file system holds now.
type work struct {
	full     bool    // compare all; then the rest is empty
	root     bool    // the root's own attributes
	entries  []entry // for a run with a path list, sorted
	trees    []string
	levels   []string          // directories of which only what lies directly in them is compared
	unfolded bool              // all that is in the trees is among the entries
	large    []string          // files that are left out because of their size, sorted
	failed   map[string]string // paths that cannot be handled, with the reason
}

// entry is a path of a list.
type entry struct {
	path  string
	state state
	size  uint64 // of a file
	// owners are the changes that the entry settles: a change below something that is gone, or is no
	// directory any more, is settled by that.
	owners []string
	// unfolded is set when it is one of a subtree's (unfold.go).
	unfolded bool
}

// told returns how many entries the owners of an entry that is gone say there were: themselves, and the directories
// that they were in.
func (e *entry) told() int {
	seen := map[string]bool{e.path: true}
	for _, p := range e.owners {
		for ; !seen[p]; p = path.Dir(p) {
			seen[p] = true
		}
	}
	return len(seen)
}

// state is what there is at a path of the source.
type state uint8

const (
	stateUnknown    state = iota
	stateDir              // a directory
	stateFile             // anything else
	stateLarge            // a regular file above the limit
	stateGone             // nothing; the parent is a directory
	stateGoneEither       // as stateGone; excluded as a directory or as a file, but not as both
)

// gone reports whether there is nothing.
func (s state) gone() bool { return s == stateGone || s == stateGoneEither }

// builder turns changes into work.
type builder struct {
	filter *filter.Filter
	delete bool
	limit  uint64 // size of a file that is sent; 0 = any
	lstat  lstat
	states map[string]state  // of the paths looked at
	sizes  map[string]uint64 // of the regular files among them
	errs   map[string]error  // why a state is unknown
}

// forget makes it look at everything anew.
func (b *builder) forget() {
	b.states, b.sizes, b.errs = map[string]state{}, map[string]uint64{}, map[string]error{}
}

// build turns changes into work. Of the changes only the paths and scopes count; see alike.go for the rest.
func (b *builder) build(changes []sdk.Change) work {
	b.forget()
	w := work{failed: map[string]string{}}
	subtrees := map[string]bool{}
	for _, c := range changes {
		if c.Scope != sdk.ScopeSubtree {
			continue
		}
		if c.Path == "" {
			return work{full: true}
		}
		subtrees[c.Path] = true
	}
	entries := map[string]*entry{}
	for _, c := range changes {
		if c.Path == "" {
			w.root = true
			continue
		}
		if text := checkPath(c.Path); text != "" {
			w.failed[c.Path] = text
			continue
		}
		if coveredBy(subtrees, c.Path) {
			continue
		}
		p, st := b.resolve(c.Path)
		if st == stateUnknown {
			w.failed[c.Path] = unknownText(b.errs[p])
			continue
		}
		if p, st = b.admit(c.Path, p, st); st == stateUnknown {
			continue
		}
		if c.Scope == sdk.ScopeSubtree && st == stateDir {
			w.trees = append(w.trees, p)
			continue
		}
		if st == stateLarge {
			w.large = append(w.large, p)
			continue
		}
		e := entries[p]
		if e == nil {
			e = &entry{path: p, state: st, size: b.sizes[p]}
			entries[p] = e
		}
		e.owners = append(e.owners, c.Path)
	}
	for _, e := range entries {
		w.entries = append(w.entries, *e)
	}
	slices.SortFunc(w.entries, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	slices.Sort(w.trees)
	slices.Sort(w.large)
	w.large = slices.Compact(w.large) // also for what was below it
	return w
}

// resolve returns the path that settles a change of p, and what is there: p itself, or the topmost
// path above p that is gone or no directory. rsync fails below such a path, or follows a symlink.
func (b *builder) resolve(p string) (string, state) {
	for i := range len(p) {
		if p[i] != '/' {
			continue
		}
		if st := b.look(p[:i]); st != stateDir {
			return p[:i], st
		}
	}
	return p, b.look(p)
}

func (b *builder) look(p string) state {
	if st, ok := b.states[p]; ok {
		return st
	}
	mode, size, err := b.lstat(p)
	st := stateFile
	switch {
	case err == nil && mode.IsDir():
		st = stateDir
	case err == nil && mode.IsRegular() && b.limit > 0 && uint64(size) > b.limit:
		st = stateLarge
	case err == nil:
	case isGone(err):
		// ENOTDIR: the parent was replaced since it was looked at, so that p is gone as well.
		st = stateGone
	default:
		st = stateUnknown
		b.errs[p] = err
	}
	if err == nil && mode.IsRegular() {
		b.sizes[p] = uint64(size)
	}
	b.states[p] = st
	return st
}

// admit applies the filter and the delete setting. stateUnknown means that there is nothing to do.
func (b *builder) admit(changed, p string, st state) (string, state) {
	if changed != p && b.filter.Excluded(changed, true) && b.filter.Excluded(changed, false) {
		return p, stateUnknown
	}
	switch st {
	case stateGone:
		asFile, asDir := b.filter.Excluded(p, false), b.filter.Excluded(p, true)
		switch {
		case !b.delete || asFile && asDir:
			return p, stateUnknown
		case asFile != asDir:
			return p, stateGoneEither
		}
	default:
		if b.filter.Excluded(p, st == stateDir) {
			return p, stateUnknown
		}
	}
	return p, st
}

// coveredBy reports whether a directory above p is in subtrees.
func coveredBy(subtrees map[string]bool, p string) bool {
	for i := range len(p) {
		if p[i] == '/' && subtrees[p[:i]] {
			return true
		}
	}
	return false
}

// lines returns the list for rsync. Each line begins with "./": a bare "#x" or ";x" is a comment to
// rsync, and so the root's own attributes follow as those of any directory above a change. A gone path
// is listed itself if the far end knows missing paths, otherwise its parent is compared, without what
// lies deeper: "parent/".
func lines(entries []entry, missingArgs bool) []string {
	list := make([]string, 0, len(entries))
	for _, e := range entries {
		line := "./" + e.path
		if e.state == stateGoneEither || e.state == stateGone && !missingArgs {
			line = "./"
			if dir := path.Dir(e.path); dir != "." {
				line += dir + "/"
			}
		}
		list = append(list, line)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// comparesDirs reports whether lines lists a directory with its contents.
func comparesDirs(entries []entry, missingArgs bool) bool {
	return slices.ContainsFunc(entries, func(e entry) bool {
		return e.state == stateGoneEither || e.state == stateGone && !missingArgs
	})
}

// checkPath says why a path cannot be in a list, or "".
func checkPath(p string) string {
	if len("./")+len(p)+len("/") > maxEntry {
		return "the path is longer than rsync takes (4,092 bytes)"
	}
	if strings.IndexByte(p, 0) >= 0 {
		return "the path holds a NUL byte"
	}
	for name := range strings.SplitSeq(p, "/") {
		if name == "" || name == "." || name == ".." {
			return "not a path below the root"
		}
	}
	return ""
}

func unknownText(err error) string {
	if errors.Is(err, syscall.ENAMETOOLONG) {
		return "the path is longer than the system takes"
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return "look at the source: " + err.Error()
}
