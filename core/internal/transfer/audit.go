package transfer

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

const (
	// maxDifferences bounds what is remembered of what a transfer has mended: some 20 MiB.
	maxDifferences = 100_000
	// maxReported bounds what is remembered of what the watcher reports meanwhile.
	maxReported = 100_000
	// maxMissed bounds how many paths that the watcher missed are named in the log.
	maxMissed = 5
)

// audit is what transfers have mended that nobody may have reported. It is judged when the watcher has
// proved that it has reported everything up to the end of the transfer:
//
//   - What a periodic comparison mended and the watcher never told was missed by it.
//   - What was sent, or found to be the same, and is gone again by then, or is not what it was after the transfer, may
//     have come and gone between two looks of a watcher that looks; only the destination has it now.
//   - Of what a transfer sent that failed, or began before the watcher came to look, there is no list, so that the
//     same is to be feared of all that it was to send.
type audit struct {
	since       time.Time // the comparison before the one that is audited; zero = nothing is counted as missed
	differences []sdk.Difference
	after       map[string]stamp // what was there after the transfer that mended it, if the watcher looks
	noted       int              // so many differences are in after
	large       []string         // files that were left out; they may be the same at the destination
	unlisted    scopes           // what transfers were to send that no list was made of
	counted     int              // from this one on they count as missed
	held        bool             // deletions were, so that what is deleted now may have been told long ago
	more        bool             // there were too many to remember

	// reported is what the watcher told since the rescan was due, and what waited then; nil when nothing is
	// counted as missed.
	reported scopes
	compared bool // everything, since then

	transfers int  // so far
	proved    bool // the watcher has told everything up to the end of the last of them
}

// scopes are changes by their paths.
type scopes map[string]sdk.Scope

// with returns s with one more; past maxReported everything.
func (s scopes) with(path string, scope sdk.Scope) scopes {
	switch {
	case s == nil:
		s = scopes{}
	case len(s) >= maxReported:
		return scopes{"": sdk.ScopeSubtree}
	}
	s[path] = max(s[path], scope)
	return s
}

// changes returns them in the order of their paths.
func (s scopes) changes() (changes []sdk.Change) {
	for _, path := range slices.Sorted(maps.Keys(s)) {
		changes = append(changes, sdk.Change{Path: path, Scope: s[path]})
	}
	return changes
}

// beginRescan starts an audit of the next comparison of everything.
func (d *Destination) beginRescan() {
	d.mu.Lock()
	a := d.now.audit
	if a == nil {
		a = &audit{}
		d.now.audit = a
	}
	a.since = d.now.lastFull
	a.counted = len(a.differences)
	a.held = d.now.deletions != nil
	a.compared = false
	a.reported = scopes{}
	d.mu.Unlock()
	// In this order nothing comes between: what waits now, and what is told from now on.
	for _, c := range append(d.main.queue.Unconfirmed(), d.large.queue.Unconfirmed()...) {
		d.mu.Lock()
		a.report(c)
		d.mu.Unlock()
	}
}

// beginAudit returns what the next transfer is to list its differences for, nil if for nothing.
func (d *Destination) beginAudit() *audit {
	looks := d.config.Watch.Looks()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now.audit == nil {
		if !looks {
			return nil
		}
		d.now.audit = &audit{}
	}
	d.now.audit.held = d.now.audit.held || d.now.deletions != nil
	d.now.audit.proved = false
	d.now.audit.transfers++
	return d.now.audit
}

// report notes what the watcher tells: c, all that came or went with it, and the directory that it came to
// or went from. The destination's lock is held.
func (a *audit) report(c sdk.Change) {
	if a == nil || a.reported == nil || a.proved {
		return
	}
	scope := c.Scope
	if c.Ops == 0 || c.Ops&(sdk.OpCreate|sdk.OpRemove|sdk.OpRename) != 0 {
		scope = sdk.ScopeSubtree
		if c.Path != "" {
			a.reported = a.reported.with(parent(c.Path), sdk.ScopePath)
		}
	}
	a.reported = a.reported.with(c.Path, scope)
}

// covers reports whether the watcher told of path: by its name, or by that of a directory above it that
// is in doubt, or gone, as a whole.
func (a *audit) covers(path string) bool {
	if _, ok := a.reported[path]; ok {
		return true
	}
	for path != "" {
		path = parent(path)
		if a.reported[path] == sdk.ScopeSubtree {
			return true
		}
	}
	return false
}

// add notes what a transfer mended. The destination's lock is held.
func (a *audit) add(differences []sdk.Difference) {
	if a == nil || len(differences) == 0 {
		return
	}
	if len(a.differences)+len(differences) > maxDifferences {
		a.more = true
		return
	}
	a.differences = append(a.differences, differences...)
}

// addTops notes the subtrees that a transfer was given, of which the transport tells only what is in them. The
// destination's lock is held.
func (a *audit) addTops(changes []sdk.Change) {
	for _, c := range changes {
		if c.Scope == sdk.ScopeSubtree && c.Path != "" {
			a.add([]sdk.Difference{{Path: c.Path, Kind: sdk.Same}})
		}
	}
}

// leave notes files that a transfer left out because of their size, and that go there later. The destination's
// lock is held.
func (a *audit) leave(large []string) {
	switch {
	case a == nil:
	case len(a.large)+len(large) > maxDifferences:
		a.more = true
	default:
		a.large = append(a.large, large...)
	}
}

// unlist notes what a transfer was to send, without a list of what it has sent. If that has failed, it will be tried
// again, and a is judged after the try that succeeds. The destination's lock is held.
func (a *audit) unlist(changes []sdk.Change) {
	if a == nil {
		return
	}
	for _, c := range changes {
		a.unlisted = a.unlisted.with(c.Path, c.Scope)
	}
}

// endAudit asks, after a transfer that succeeded, for the proof with which a can be judged.
func (d *Destination) endAudit(a *audit, compared bool) {
	if a == nil {
		return
	}
	d.mu.Lock()
	a.compared = a.compared || compared
	waits := !a.since.IsZero() && !a.compared
	if !waits && len(a.differences)+len(a.large)+len(a.unlisted) == 0 && !a.more {
		d.now.audit = nil
		waits = true
	}
	n := a.transfers
	d.mu.Unlock()
	if waits {
		return
	}
	d.noteAfter(a)
	d.config.Watch.Prove(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if a.transfers == n {
			a.proved = true
			d.changed()
		}
	})
}

// noteAfter notes what is there, after a transfer, of what it has mended.
func (d *Destination) noteAfter(a *audit) {
	if !d.config.Watch.Looks() {
		return
	}
	d.mu.Lock()
	differences := a.differences[a.noted:]
	d.mu.Unlock()
	now := make(map[string]stamp, len(differences))
	for _, diff := range differences {
		info, _ := d.config.Lstat(filepath.Join(d.config.Source, diff.Path))
		now[diff.Path] = stampOf(info)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.after == nil {
		a.after = make(map[string]stamp, len(now))
	}
	maps.Copy(a.after, now)
	a.noted += len(differences)
}

// judgeAudit acts on an audit that the watcher's proof has come for.
func (d *Destination) judgeAudit() {
	d.mu.Lock()
	a := d.now.audit
	if a == nil || !a.proved {
		d.mu.Unlock()
		return
	}
	d.now.audit, d.now.judging = nil, a
	d.now.judged++
	d.mu.Unlock()
	defer d.judged()
	looks := d.config.Watch.Looks()
	if a.more && looks {
		d.queue.Add(time.Now(), everything)
	}
	if looks {
		d.queue.Add(time.Now(), a.unlisted.changes()...)
		for _, path := range a.large {
			d.look(sdk.Difference{Path: path}, nil)
		}
	}
	var missed []string
	fleeting := make(map[string]bool) // what came and went between two looks
	for i, diff := range a.differences {
		info := d.look(diff, a.after)
		if looks && info == nil && diff.Kind != sdk.Extra {
			fleeting[diff.Path] = true
		}
		if fleeting[diff.Path] || diff.Kind == sdk.Same || diff.Kind == sdk.Extra && a.held {
			continue
		}
		if !a.since.IsZero() && i >= a.counted && !a.covers(diff.Path) && d.changedAfter(diff.Path, info, a.since) {
			missed = append(missed, sdk.Change{Path: diff.Path}.String())
		}
	}
	if len(missed) == 0 {
		return
	}
	slices.Sort(missed)
	missed = slices.Compact(missed)
	d.update(func(s *situation) { s.missed += uint64(len(missed)) })
	d.config.Logger.Warn("the comparison found changes that the watcher should have reported", "paths", len(missed), "some", missed[:min(len(missed), maxMissed)])
}

// look looks at the source's entry for a difference that was mended, and marks it dirty when it has gone
// again, or is not what it was after that; nil = that is not known.
func (d *Destination) look(diff sdk.Difference, after map[string]stamp) os.FileInfo {
	info, err := d.config.Lstat(filepath.Join(d.config.Source, diff.Path))
	was, known := after[diff.Path]
	gone := errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
	if gone && diff.Kind != sdk.Extra || known && was != stampOf(info) {
		c := sdk.Change{Path: diff.Path}
		if was.mode.IsDir() && (info == nil || !info.IsDir()) {
			c.Scope = sdk.ScopeSubtree // whatever is there by the time that it is sent
		}
		d.Add(c)
	}
	return info
}

// stamp tells an entry from what it was before; the zero stamp is of nothing.
type stamp struct {
	mode    os.FileMode
	size    int64
	changed int64 // Unix time in ns
}

// stampOf returns the stamp of what a look has found, nil where nothing is.
func stampOf(info os.FileInfo) stamp {
	if info == nil {
		return stamp{}
	}
	return stamp{info.Mode(), info.Size(), changeTime(info).UnixNano()}
}

// lookAgain looks at everything that has been mended and not been judged. It reports whether there may
// have been anything since so many audits had been judged.
func (d *Destination) lookAgain(judged uint64) bool {
	d.mu.Lock()
	var differences []sdk.Difference
	after := map[string]stamp{}
	var unlisted []sdk.Change
	for _, a := range []*audit{d.now.audit, d.now.judging} {
		if a != nil {
			differences = append(differences, a.differences...)
			maps.Copy(after, a.after)
			for _, path := range a.large {
				differences = append(differences, sdk.Difference{Path: path})
			}
			unlisted = append(unlisted, a.unlisted.changes()...)
		}
	}
	any := len(differences)+len(unlisted) > 0 || d.now.judged != judged
	d.mu.Unlock()
	if d.config.Watch.Looks() {
		d.queue.Add(time.Now(), unlisted...)
	}
	for _, diff := range differences {
		d.look(diff, after)
	}
	return any
}

// judged takes a proof that has come meanwhile.
func (d *Destination) judged() {
	d.mu.Lock()
	proof := d.now.deferred
	d.now.judging, d.now.deferred = nil, deferred{}
	d.mu.Unlock()
	if !proof.asked.IsZero() {
		d.proved(proof.began, proof.asked)
	}
}

// changedAfter reports whether the source's entry, or else the directory above what is not there, has
// changed since a time. Otherwise it is the destination that somebody has changed.
func (d *Destination) changedAfter(path string, info os.FileInfo, since time.Time) bool {
	for info == nil && path != "" {
		path = parent(path)
		info, _ = d.config.Lstat(filepath.Join(d.config.Source, path))
	}
	return info == nil || changeTime(info).After(since.Add(-clockSlack))
}

// clockSlack is more than the time that file systems' clocks lag behind, a tick of the kernel.
const clockSlack = 20 * time.Millisecond

// parent returns the path of the directory that path is in; "" is the root.
func parent(path string) string {
	return path[:max(0, strings.LastIndexByte(path, '/'))]
}
