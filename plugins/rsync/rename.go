package rsync

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/filewatch/filewatch/sdk"
)

// defaultMinRename is how much a rename has to spare, in bytes: to do it at the far end takes some 15 ms and
// three round trips, in which about as much is sent.
const defaultMinRename = 1 << 20

// entryCost is what an entry counts for beside its content.
const entryCost = 4 << 10

// move is a rename at the destination.
type move struct {
	from, to string
	worth    bool     // it pays to do it
	dirs     []string // above to, the topmost first: those that are made if they are missing
}

// rename does at the destination what was renamed at the source, where that is possible. It settles nothing:
// the runs that follow find less to send.
func (s *session) rename(ctx context.Context) error {
	moves := s.moves()
	if len(moves) == 0 {
		return nil
	}
	if err := s.checkRoot(); err != nil {
		return err
	}
	done, err := s.doMoves(ctx, moves)
	if done == len(moves) {
		s.noteRenamed(moves)
	}
	sdk.Logger(ctx).Debug("renamed at the destination", "destination", s.req.Destination.String(), "renames", len(moves), "done", done, "err", err)
	return ctx.Err()
}

// noteRenamed takes note of the moves that were done of what was written neither before nor after, as far as is known.
func (s *session) noteRenamed(moves []move) {
	written := map[string]bool{}
	for _, c := range s.req.Changes {
		written[c.Path] = c.Ops == 0 || c.Ops&sdk.OpWrite != 0
	}
	for _, m := range moves {
		s.renamed[m.to] = !written[m.from] && !written[m.to]
	}
}

// moves returns the renames of the request that can be done at the destination, in the order in which they can.
func (s *session) moves() []move {
	if !s.req.Delete || s.req.DryRun || !s.mayCommand() {
		return nil
	}
	b := builder{filter: s.filter, lstat: s.lstat}
	b.forget()
	var moves []move
	for _, c := range s.req.Changes {
		if c.From == "" {
			continue
		}
		if there, ok := s.movable(&b, c); ok {
			pays := worth(withSlash(s.req.Source)+c.Path, there, s.t.minRename)
			moves = append(moves, move{c.From, c.Path, pays, s.newAbove(c.Path)})
		}
	}
	return inOrder(moves)
}

// movable reports whether c is a rename that does no harm, whatever is at the destination, and what was renamed.
func (s *session) movable(b *builder, c sdk.Change) (state, bool) {
	if checkPath(c.Path) != "" || checkPath(c.From) != "" {
		return stateUnknown, false
	}
	// What is excluded is neither sent nor removed, under no name.
	if s.filter.ExcludedMissing(c.Path) || s.filter.ExcludedMissing(c.From) {
		return stateUnknown, false
	}
	path, there := b.resolve(c.Path)
	switch {
	case path != c.Path:
		return stateUnknown, false
	case there == stateDir:
		// It takes along what is excluded below it, as it did at the source. All of that has to be as much
		// excluded as before, and everything else to be compared.
		if c.Scope != sdk.ScopeSubtree || !s.namesOnly || s.busyBelow(c.From) || s.busyBelow(c.Path) {
			return stateUnknown, false
		}
	case there != stateFile:
		return stateUnknown, false
	}
	return there, s.vacated(c.From)
}

// newAbove returns the directories above a path, all of which are there at the source, that may be new: the request
// compares them. One that is missing at the destination and is not among them was lost there, with what was in it.
func (s *session) newAbove(p string) []string {
	var dirs []string
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if slices.ContainsFunc(s.req.Changes, func(c sdk.Change) bool { return c.Scope == sdk.ScopeSubtree && c.Covers(dir) }) {
			dirs = append(dirs, dir)
		}
	}
	slices.Reverse(dirs)
	return dirs
}

// busyBelow reports whether another call is at work on something below a directory.
func (s *session) busyBelow(dir string) bool {
	return slices.ContainsFunc(s.req.Busy, func(p string) bool { return strings.HasPrefix(p, dir+"/") })
}

// vacated reports whether what the destination has at a path may leave it: nothing is there at the source, or
// the request sends it.
func (s *session) vacated(p string) bool {
	mode, _, err := s.lstat(p)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
	}
	return slices.ContainsFunc(s.req.Changes, func(c sdk.Change) bool {
		return c.Covers(p) && (c.Scope == sdk.ScopeSubtree || !mode.IsDir())
	})
}

// worth reports whether so much is at and below a path. It looks no further than it takes to know.
func worth(path string, there state, bytes int64) bool {
	if there != stateDir {
		info, err := os.Lstat(path)
		return err == nil && info.Mode().IsRegular() && info.Size() >= bytes
	}
	return remaining(path, bytes) <= 0
}

// remaining returns how many bytes less there are in a directory.
func remaining(dir string, bytes int64) int64 {
	f, err := os.Open(dir)
	if err != nil {
		return bytes
	}
	defer f.Close()
	var below []string
	for bytes > 0 {
		entries, err := f.ReadDir(64)
		for _, e := range entries {
			bytes -= entryCost
			if e.IsDir() {
				below = append(below, e.Name())
			} else if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
				bytes -= info.Size()
			}
		}
		if err != nil {
			break // also at the end
		}
	}
	for _, name := range below {
		if bytes <= 0 {
			break
		}
		bytes = remaining(filepath.Join(dir, name), bytes)
	}
	return bytes
}

// inOrder sorts the moves that are worth it so that each finds its former name as it was before all of them: what
// is below it leaves first, and so does what is where it goes to. What it goes into comes before it. What goes in a
// circle is left out.
func inOrder(moves []move) []move {
	slices.SortFunc(moves, func(a, b move) int { return strings.Compare(a.from, b.from) })
	moves = slices.CompactFunc(moves, func(a, b move) bool { return a.from == b.from })
	o := ordering{moves: moves, to: make(map[string]int, len(moves)), seen: make([]bool, len(moves)), done: make([]bool, len(moves))}
	for i, m := range moves {
		o.to[m.to] = i
	}
	for i, m := range moves {
		if m.worth {
			o.visit(i)
		}
	}
	return o.list
}

// ordering is a depth-first walk from each move to those that come before it.
type ordering struct {
	moves []move         // sorted
	to    map[string]int // their new names
	seen  []bool
	done  []bool
	list  []move
}

// visit puts a move into the list. It reports false if it cannot be there now: one that comes before it is
// waiting for it.
func (o *ordering) visit(i int) bool {
	if o.seen[i] {
		return o.done[i]
	}
	o.seen[i] = true
	m := o.moves[i]
	ok := true
	for p := filepath.Dir(m.to); p != "."; p = filepath.Dir(p) {
		if j, comes := o.to[p]; comes {
			ok = o.visit(j) && ok
		}
	}
	for j := o.find(m.from + "/"); j < len(o.moves) && strings.HasPrefix(o.moves[j].from, m.from+"/"); j++ {
		o.visit(j) // if it cannot leave now it goes along, and is sent
	}
	for p := m.to; p != "."; p = filepath.Dir(p) {
		if j := o.find(p); j < len(o.moves) && o.moves[j].from == p {
			ok = o.visit(j) && ok
		}
	}
	o.done[i] = true
	if ok {
		o.list = append(o.list, m)
	}
	return ok
}

// find returns the first move whose former name is not before p.
func (o *ordering) find(p string) int {
	i, _ := slices.BinarySearchFunc(o.moves, p, func(m move, p string) int { return strings.Compare(m.from, p) })
	return i
}
