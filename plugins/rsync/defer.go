package rsync

import (
	"path"
	"slices"
	"strings"

	"github.com/filewatch/filewatch/sdk"
)

// What is found in a directory that is new may have been moved there a moment ago, and who watches the source has not
// told yet. If it is so much that a rename would pay, it is left for a later call where the core asks for that
// (SyncRequest.MayDefer): until then it is treated as what another call is at work on.

// maxDeferred is how many entries of new directories are looked at for that, which takes some 30 ms at most.
const maxDeferred = 100

// deferNew leaves out what may have been moved into new directories.
func (s *session) deferNew() error {
	if !s.req.MayDefer || s.req.Attempt > 1 || !s.req.Delete || s.req.DryRun || s.req.Beside || !s.mayCommand() {
		return nil
	}
	var list []string
	left := maxDeferred
	for _, c := range s.req.Changes {
		if left > 0 && isNew(c) {
			list = s.appendDeferred(list, c.Path, &left)
		}
	}
	if len(list) == 0 || s.mayRemove() {
		return nil
	}
	s.count.result.Deferred = list
	s.req.Busy = slices.Concat(s.req.Busy, list)
	return s.parseFilter()
}

// isNew reports whether a change is about a directory that is new.
func isNew(c sdk.Change) bool {
	return c.Path != "" && c.From == "" && c.Scope == sdk.ScopeSubtree && c.Ops&sdk.OpCreate != 0
}

// mayRemove reports whether the request may remove something that is not known to have a new name. That is not to go
// before what is left out, which may be it.
func (s *session) mayRemove() bool {
	former := map[string]bool{}
	for _, c := range s.req.Changes {
		former[c.From] = true
	}
	return slices.ContainsFunc(s.req.Changes, func(c sdk.Change) bool {
		if c.From != "" || isNew(c) || c.Path != "" && former[c.Path] {
			return false
		}
		if c.Path == "" || c.Scope == sdk.ScopeSubtree {
			return c.Scope == sdk.ScopeSubtree
		}
		_, _, err := s.lstat(c.Path)
		return err != nil
	})
}

// appendDeferred appends what is to be left out of what is directly in a new directory, looking at up to left entries.
func (s *session) appendDeferred(list []string, dir string, left *int) []string {
	f, err := s.openDir(dir)
	if err != nil {
		return list // whatever it is, the transfer finds out
	}
	defer f.Close()
	entries, _ := f.ReadDir(*left)
	*left -= len(entries)
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		there := stateFile
		if e.IsDir() {
			there = stateDir
		}
		switch {
		case checkPath(p) != "", s.filter.Match(p, e.IsDir()), s.busyBelow(p), s.told(p):
		case worth(withSlash(s.req.Source)+p, there, s.t.minRename):
			list = append(list, p)
		}
	}
	return list
}

// told reports whether a rename to a path, or to below it, is known.
func (s *session) told(p string) bool {
	return slices.ContainsFunc(s.req.Changes, func(c sdk.Change) bool {
		return c.From != "" && (c.Path == p || strings.HasPrefix(c.Path, p+"/"))
	})
}

// leavesVanished reports whether what has vanished during the call is left to a later one, which is told where it has
// been moved: the destination has it until then.
func (s *session) leavesVanished() bool { return s.req.MayDefer && !s.req.DryRun }

// withoutVanished returns the entries but for what has vanished, where that is left to a later call.
func (s *session) withoutVanished(entries []entry) []entry {
	if !s.leavesVanished() {
		return entries
	}
	vanished := func(p string) bool { return s.vanished[p] || coveredBy(s.vanished, p) }
	return slices.DeleteFunc(entries, func(e entry) bool {
		return e.state.gone() && !slices.ContainsFunc(e.owners, func(p string) bool { return !vanished(p) })
	})
}

// withoutBack returns the entries, which were gone, but for those that are back, where that is left to a later call: a
// directory that was moved back is not to be sent, but renamed. Who looks now and then may not tell the later call.
func (s *session) withoutBack(entries []entry) []entry {
	if !s.leavesVanished() || s.asked != nil {
		return entries
	}
	return slices.DeleteFunc(slices.Clone(entries), func(e entry) bool {
		_, _, err := s.lstat(e.path)
		return err == nil
	})
}

// leavingVanished returns the arguments for a job of whose list nothing was gone when it was made. The standby has them
// already, and reads its list within 2 ms.
func (s *session) leavingVanished(args []string, j job) []string {
	if !s.leavesVanished() || !s.caps.missingArgs || j.list == nil || len(j.gone) > 0 || j.sweeps {
		return args
	}
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == deleteMissing })
	return append(args, "--ignore-missing-args")
}
