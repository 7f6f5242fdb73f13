package watch

import (
	"strings"

	"github.com/filewatch/filewatch/sdk"
)

// maxRecorded bounds the paths that a record holds: some megabytes.
const maxRecorded = 1 << 15

// Record is what was reported since a moment. It tells whether a difference that a comparison has found
// is one that the watcher knew of. Its methods may be called concurrently.
type Record struct {
	root *Root

	// Guarded by the mutex of root:
	paths map[string]sdk.Scope // what is below a subtree is in it too
}

// Record begins to note what is reported. Doubts count as reports of all that is in doubt, the periodic
// comparison does not. Stop must be called at the end.
//
// To count what the watcher has missed, begin before a comparison starts, and ask about the differences
// that it found once it has ended and a proof (see Prove) that was asked for after that has come: what
// changed meanwhile was reported by then. A difference that was waiting to be sent before is not missed
// either.
func (r *Root) Record() *Record {
	rec := &Record{root: r, paths: make(map[string]sdk.Scope)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records[rec] = struct{}{}
	return rec
}

// Stop ends the record, and frees it.
func (rec *Record) Stop() {
	rec.root.mu.Lock()
	defer rec.root.mu.Unlock()
	delete(rec.root.records, rec)
	rec.paths = nil
}

// Covers reports whether a change of path was reported. When that is not certain it says so: past a bound
// only directories are known in which something changed.
func (rec *Record) Covers(path string) bool {
	rec.root.mu.Lock()
	defer rec.root.mu.Unlock()
	if _, ok := rec.paths[path]; ok {
		return true
	}
	for path != "" {
		path = parent(path)
		if scope, ok := rec.paths[path]; ok && scope == sdk.ScopeSubtree {
			return true
		}
	}
	return false
}

// Missed counts n differences that the watcher should have reported.
func (r *Root) Missed(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missed += uint64(n)
}

// add notes a report. What came or went is one of all that was below it, and of the directory that it was
// in, whose times have changed. So is what tells nothing of the kind.
func (rec *Record) add(c sdk.Change) {
	if c.Ops == 0 || c.Ops&(sdk.OpCreate|sdk.OpRemove|sdk.OpRename) != 0 {
		c.Scope = sdk.ScopeSubtree
		if c.Path != "" {
			rec.note(parent(c.Path), sdk.ScopePath)
		}
	}
	rec.note(c.Path, c.Scope)
	if len(rec.paths) > maxRecorded {
		for len(rec.paths) > maxRecorded/2 {
			rec.collapse()
		}
	}
}

func (rec *Record) note(path string, scope sdk.Scope) {
	rec.paths[path] = max(rec.paths[path], scope)
}

// collapse replaces the deepest paths by the directories that they are in.
func (rec *Record) collapse() {
	deepest := 0
	for p := range rec.paths {
		deepest = max(deepest, strings.Count(p, "/"))
	}
	for p := range rec.paths {
		if strings.Count(p, "/") == deepest {
			delete(rec.paths, p)
			rec.paths[parent(p)] = sdk.ScopeSubtree
		}
	}
}

// parent returns the path of the directory that p is in; of the root, the root.
func parent(p string) string { return p[:max(strings.LastIndexByte(p, '/'), 0)] }
