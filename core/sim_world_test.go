package core

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/mounts"
	"github.com/filewatch/filewatch/core/internal/plan"
	"github.com/filewatch/filewatch/core/internal/state"
	"github.com/filewatch/filewatch/core/internal/turn"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// rootState is what has become of the source's root.
type rootState int

const (
	rootThere      rootState = iota
	rootMissing              // nothing there
	rootFile                 // something else than a directory
	rootUnreadable           // it cannot be read
	rootEmpty                // another directory, with nothing in it: unmounted
	rootOther                // another directory, with something in it
)

func (r rootState) String() string {
	return [...]string{"there", "missing", "a file", "unreadable", "unmounted", "replaced"}[r]
}

// simWorld is all that is not the engine: the truth about the source and the destinations, and the faults.
// Its methods lock it unless they say otherwise.
type simWorld struct {
	seed    uint64
	plan    plan.Sync
	exclude *filter.Filter
	bug     simBug

	mu       sync.Mutex
	source   *simSource
	root     rootState
	identity uint64        // of the directory that is the source
	other    simTree       // what is seen when root is rootOther
	approved bool          // that the source is empty
	paused   bool          // by an operator
	dark     string        // a directory that cannot be listed; "" = none
	jump     time.Duration // of the clock, for times that were written down before the next start
	skew     time.Duration // of the same, for the times of files
	over     string        // what something is mounted over; "" = nothing
	unmounts chan struct{}

	dests   []*simDest
	streams []*simStream

	unseen      bool // no stream sees anything
	unseenSince time.Time

	started int           // streams, ever
	daemon  int           // which one runs; what others do has no effect
	alive   bool          // one runs
	saved   []byte        // in the store
	known   state.Sync    // what saved says
	saves   int           // ever
	crashed chan struct{} // capacity 1: the daemon has died in the middle of a Save

	faults    bool // may happen
	violation string
	traced    bool
	trace     []traceLine
	seq       map[string]int

	slotMu sync.Mutex
	slots  map[time.Duration]string // whose turn is when
}

// simRound is how long a round of turns takes: each goroutine acts at its own nanosecond of it.
const simRound = 100_003

// turns returns what waits for the turn of a goroutine.
func (w *simWorld) turns(name string) func() {
	slot := time.Duration(w.rng("turn "+name, 0).Uint64N(simRound))
	w.slotMu.Lock()
	defer w.slotMu.Unlock()
	for w.slots[slot] != "" && w.slots[slot] != name {
		slot = (slot + 1) % simRound
	}
	w.slots[slot] = name
	return func() { time.Sleep((slot - time.Since(simEpoch)%simRound + simRound) % simRound) }
}

// traceLine is one thing that happened.
type traceLine struct {
	at    time.Duration
	actor string
	seq   int // of the actor
	text  string
}

// simDest is one destination.
type simDest struct {
	endpoint sdk.Endpoint
	tree     simTree
	running  []*simCall
	calls    int       // ever
	readied  int       // of those without changes, which are not among calls
	ended    time.Time // the last call that was to change something
	synced   int       // "in sync" was logged

	away     bool // nobody answers
	full     bool // nothing can be written
	bad      string
	poison   string
	deleted  []time.Time // entries, one by one, by this daemon
	created  []time.Time
	approved bool // the next comparison may delete any number
	held     bool // deletions are since before the daemon started; it has neither compared everything nor been told
}

// rng returns a source of chance that depends on nothing but the seed and its name.
func (w *simWorld) rng(actor string, n int) *rand.Rand {
	h := uint64(14695981039346656037)
	for i := range len(actor) {
		h = (h ^ uint64(actor[i])) * 1099511628211
	}
	return rand.New(rand.NewPCG(w.seed, h+uint64(n)))
}

// note adds to the trace. w is locked.
func (w *simWorld) note(actor, format string, args ...any) {
	if !w.traced {
		return
	}
	w.seq[actor]++
	w.trace = append(w.trace, traceLine{time.Since(simEpoch), actor, w.seq[actor], fmt.Sprintf(format, args...)})
}

// violated notes that a promise was broken. w is locked.
func (w *simWorld) violated(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf("at %s: ", clock(time.Now())) + fmt.Sprintf(format, args...)
		w.note("check", "VIOLATION: %s", w.violation)
	}
}

func (w *simWorld) broken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.violation != ""
}

// story returns the trace, what happened at one moment in the order of the actors.
func (w *simWorld) story() string {
	slices.SortStableFunc(w.trace, func(a, b traceLine) int {
		if a.at != b.at {
			return int(min(max(a.at-b.at, -1), 1))
		}
		if c := strings.Compare(a.actor, b.actor); c != 0 {
			return c
		}
		return a.seq - b.seq
	})
	var b strings.Builder
	for _, l := range w.trace {
		fmt.Fprintf(&b, "%16s  %-10s %s\n", l.at, l.actor, l.text)
	}
	return b.String()
}

// runs reports whether a daemon still runs. w is locked.
func (w *simWorld) runs(daemon int) bool { return w.alive && w.daemon == daemon }

// view is what can be read at the source. w is locked.
func (w *simWorld) view() simTree {
	switch {
	case w.root == rootOther:
		return w.other
	case w.root != rootThere:
		return nil
	case w.over != "":
		t := simTree{}
		for p, n := range w.source.tree {
			if p == w.over || !within(p, w.over) {
				t[p] = n
			}
		}
		return t
	}
	return w.source.tree
}

// empty reports whether nothing that counts is in a tree.
func (w *simWorld) empty(t simTree) bool {
	for p, n := range t {
		if parentOf(p) == "" && !w.exclude.Match(p, n.dir) {
			return false
		}
	}
	return true
}

// Look implements guard.Looker.
func (w *simWorld) Look(string, func(string, bool) bool) (guard.Sight, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := guard.Identity{Type: "ext4", UUID: "f00d", Inode: w.identity, Mount: guard.Mount{Point: "/", Source: "/dev/sda"}}
	switch w.root {
	case rootMissing:
		return guard.Sight{}, fs.ErrNotExist
	case rootFile:
		return guard.Sight{}, syscall.ENOTDIR
	case rootUnreadable:
		return guard.Sight{}, fs.ErrPermission
	case rootEmpty:
		id.Inode += 1000
		return guard.Sight{Identity: id, Empty: true}, nil
	case rootOther:
		id.Inode += 2000
		return guard.Sight{Identity: id, Empty: w.empty(w.other)}, nil
	}
	empty := w.empty(w.source.tree)
	w.approved = w.approved && empty // it was seen
	return guard.Sight{Identity: id, Empty: empty}, nil
}

// Mounted implements guard.Looker.
func (w *simWorld) Mounted(guard.Path) bool { return true }

// simInfo is what Lstat tells.
type simInfo struct {
	fs.FileInfo
	node    simNode
	changed time.Time
}

func (i simInfo) Size() int64 { return i.node.size() }

func (i simInfo) IsDir() bool { return i.node.dir }

func (i simInfo) Mode() fs.FileMode {
	if i.node.dir {
		return fs.ModeDir
	}
	return 0
}

func (i simInfo) ModTime() time.Time { return i.changed }

func (i simInfo) Sys() any { return simStat(i.changed) }

// lstat looks at an entry of the source.
func (w *simWorld) lstat(path string) (os.FileInfo, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rel, err := filepath.Rel(w.plan.Source, path)
	if err != nil {
		return nil, err
	}
	if rel == "." {
		rel = ""
	}
	node, ok := w.view()[rel]
	if !ok && (rel != "" || w.root != rootThere) {
		return nil, fs.ErrNotExist
	}
	changed := simEpoch
	for p, states := range w.source.history {
		// A directory changes with its entries.
		if p == rel || parentOf(p) == rel {
			if at := states[len(states)-1].at; at.After(changed) {
				changed = at
			}
		}
	}
	return simInfo{node: node, changed: changed.Add(w.skew)}, nil
}

// simStore is a store as one daemon sees it: what a dead one saves is lost.
type simStore struct {
	w      *simWorld
	daemon int
}

var errStore = errors.New("input/output error")

func (s simStore) Load(string) (out state.Sync, err error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.saved == nil {
		return out, nil
	}
	err = json.Unmarshal(s.w.saved, &out)
	// To a clock that has jumped, the times that were written down are too early or too late.
	for i := range out.Destinations {
		d := &out.Destinations[i]
		if !d.FullSync.IsZero() {
			d.FullSync = d.FullSync.Add(-s.w.jump)
		}
		if !d.Confirmed.IsZero() {
			d.Confirmed = d.Confirmed.Add(-s.w.jump)
		}
		if d.Hold != nil {
			d.Hold.Since = d.Hold.Since.Add(-s.w.jump)
		}
	}
	s.w.jump = 0
	return out, err
}

func (s simStore) Save(_ string, v state.Sync) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.runs(s.daemon) {
		return errStore
	}
	w.saves++
	save := func() { w.saved, w.known = text, v }
	if !w.faults {
		save()
		return nil
	}
	rng := w.rng("store", w.saves)
	switch n := rng.IntN(100); {
	case n < 3: // in the middle of it; either all survives or nothing
		if n < 2 {
			save()
		}
		w.note("store", "the daemon dies")
		w.alive = false
		w.crashed <- struct{}{}
		return errStore
	case n < 5:
		if n == 3 {
			save()
		}
		w.note("store", "fails")
		return errStore
	}
	save()
	return nil
}

// simMounts is a mountTracker that knows of one mount at most.
type simMounts struct{ w *simWorld }

func (m simMounts) Held() []mounts.Hold {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	if m.w.over == "" {
		return nil
	}
	return []mounts.Hold{{Path: m.w.over, Reason: m.w.over + "/: something is mounted over it", Since: simEpoch}}
}

func (m simMounts) Run(ctx context.Context, changed func(held, free []string)) {
	paths := func() (all []string) {
		for _, h := range m.Held() {
			all = append(all, h.Path)
		}
		return all
	}
	for before := paths(); ; {
		select {
		case <-ctx.Done():
			return
		case <-m.w.unmounts:
		}
		turn.Wait(ctx)
		now := paths()
		if !slices.Equal(before, now) {
			changed(now, before)
		}
		before = now
	}
}

func (m simMounts) ApproveTold(mounts.Hold) bool { return false }

func (m simMounts) Approve(path string) bool {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	if m.w.over != path {
		return false
	}
	// What it hides is gone for good, as far as the sync is concerned.
	m.w.over = ""
	m.w.remove(path, true)
	return true
}

// simLog takes the daemon's log. A line that says "in sync" is held against the truth.
type simLog struct {
	w      *simWorld
	daemon int
}

func (l simLog) Write(line []byte) (int, error) {
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.runs(l.daemon) {
		return len(line), nil
	}
	actor := "log"
	for _, d := range w.dests {
		if bytes.Contains(line, []byte("destination="+d.endpoint.String())) {
			actor = "log " + d.endpoint.Path
			if bytes.Contains(line, []byte("in sync")) {
				d.synced++
				// It was proved after the last transfer.
				if text := w.source.stale(d.tree, w.exclude, w.plan.Delete, d.ended); text != "" {
					w.violated("%s: \"in sync\" is logged, but %s", d.endpoint, text)
				}
			}
		}
	}
	if w.traced {
		w.note(actor, "%s", bytes.TrimSpace(line))
	}
	return len(line), nil
}
