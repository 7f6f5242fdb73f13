package rsync

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/filewatch/filewatch/sdk"
)

// An rsync that is killed while it receives leaves .NAME.XXXXXX beside the file. The next try of the same
// changes sweeps the directories that they are in: what is at the destination alone and has such a name goes,
// as with any comparison, and counts as a deletion. With delete off, or if a pattern excludes it, it stays:
// nothing tells it from somebody's file. If the killed one still lives after all, on a machine whose connection
// was cut, it can no longer finish that file, which is all the better: it would be an old one.

// temporary is the name that rsync gives to a file that is not complete.
const (
	temporary       = ".*" + temporarySuffix
	temporarySuffix = ".[A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9]"
)

// sweep removes what earlier tries of changes have left. It returns the changes to look at again.
func (s *session) sweep(ctx context.Context, b *builder, changes []sdk.Change, last bool) ([]sdk.Change, error) {
	dirs := b.dirs(changes)
	if len(dirs) == 0 {
		return nil, nil
	}
	if err := s.probed(ctx); err != nil {
		return nil, err
	}
	return s.do(ctx, s.sweepJob(dirs, s.sweepNames(changes)), func(p string) []string { return []string{p} }, last)
}

// sweepNames returns patterns for the temporary files of changes. A call that runs beside another must not take
// that one's.
func (s *session) sweepNames(changes []sdk.Change) (names []string) {
	if !s.req.Beside {
		return []string{temporary}
	}
	for _, c := range changes {
		names = append(names, temporaryName(c.Path))
	}
	return names
}

// sweepJob compares the temporary files of such names directly in directories.
func (s *session) sweepJob(dirs, names []string) job {
	j := job{shallow: true, compares: true, sweeps: true, thorough: []string{"--delete"}}
	for _, dir := range dirs {
		j.list = append(j.list, "./"+strings.TrimPrefix(dir+"/", "/"))
	}
	if s.config.Partial {
		j.rules = append(j.rules, "- "+partialDir+"/")
	}
	// Directories are shown, for the list names them, and kept. Of the rest only temporary files are looked at.
	j.rules = append(j.rules, "P */", "S */")
	for _, name := range names {
		j.rules = append(j.rules, "+ "+name)
	}
	j.rules = append(j.rules, "- *")
	return j
}

// dirs returns the directories that changes are in, sorted; not those that are compared as a whole.
func (b *builder) dirs(changes []sdk.Change) []string {
	subtrees := map[string]bool{}
	for _, c := range changes {
		if c.Scope == sdk.ScopeSubtree {
			subtrees[c.Path] = true
		}
	}
	dirs := map[string]bool{}
	for _, c := range changes {
		if c.Path == "" || checkPath(c.Path) != "" {
			continue
		}
		dir := path.Dir(c.Path)
		if dir == "." {
			dir = ""
		}
		if _, seen := dirs[dir]; !seen {
			dirs[dir] = !subtrees[""] && !subtrees[dir] && !coveredBy(subtrees, dir) && b.isDir(dir)
		}
	}
	var list []string
	for dir, sweep := range dirs {
		if sweep {
			list = append(list, dir)
		}
	}
	slices.Sort(list)
	return list
}

// isDir reports whether there is a directory that is transferred.
func (b *builder) isDir(p string) bool {
	if p == "" {
		return true
	}
	settles, state := b.resolve(p)
	return settles == p && state == stateDir && !b.filter.Excluded(p, true)
}

// beginAgain compares everything, if an earlier try got somewhere that nobody knows. Either its process is gone, or it had
// found that the destination had lost a directory, and made it again without what was in it. The changes are left, for what
// was written may look alike.
func (s *session) beginAgain(ctx context.Context) error {
	s.t.mu.Lock()
	known := s.t.known[s.peer()]
	s.t.mu.Unlock()
	first := s.req.Changes[0]
	full := first.Path == "" && first.Scope == sdk.ScopeSubtree
	if s.req.Attempt > 1 && !known && !s.req.Beside && !full {
		return s.rounds(ctx, []sdk.Change{{Scope: sdk.ScopeSubtree}})
	}
	s.t.setKnown(s.peer(), true)
	return nil
}

func (t *transport) setKnown(key peer, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[key] = known
}
