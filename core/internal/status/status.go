// Package status is what a running filewatch tells about itself: plain data, which travels as JSON, and
// how people read it.
package status

import "time"

// Report is the state of a daemon at one moment.
type Report struct {
	Version  string    `json:"version"`
	PID      int       `json:"pid"`
	StateDir string    `json:"state_dir"` // by which the commands find the daemon
	Started  time.Time `json:"started"`
	Now      time.Time `json:"now"`
	Syncs    []Sync    `json:"syncs"` // in the order of the configuration
}

// Sync is one sync block.
type Sync struct {
	Name         string        `json:"name"`
	Source       string        `json:"source"`
	Paused       bool          `json:"paused"`
	Watch        Watch         `json:"watch"`
	Destinations []Destination `json:"destinations"` // in the order of the configuration
}

// Watch tells how the changes of one source are seen.
type Watch struct {
	Watcher string `json:"watcher"`       // that is at work: inotify, fanotify, poll …
	Why     string `json:"why,omitempty"` // it was chosen; empty when the configuration names it
	// Watched tells that every change is seen, be it by a fallback.
	Watched bool `json:"watched"`
	// Degraded says what the watcher does not see, why, with numbers, how that is made up for, and what
	// would mend it; empty when the watcher sees everything.
	Degraded string `json:"degraded,omitempty"`
	// Fallback are the subtrees that are looked after in another way, at most ten; FallbackMore counts
	// the others. "" is the whole source.
	Fallback     []string `json:"fallback,omitempty"`
	FallbackMore int      `json:"fallback_more,omitempty"`
	// Missed counts what comparisons found that the watcher should have reported.
	Missed uint64 `json:"missed"`
}

// State is what one destination is doing, in one word or two.
type State string

// The states. Of several that hold at once the first in this list is shown.
const (
	Paused    State = "paused"      // by an operator
	Held      State = "held"        // waits for a person, see Destination.Hold
	Away      State = "away"        // could not be reached, see Destination.Away
	Comparing State = "comparing"   // the whole source with the destination
	Sending   State = "sending"     // a batch
	Failing   State = "failing"     // paths cannot be sent, all else is
	Pending   State = "pending"     // changes wait for their time
	Unproved  State = "catching up" // all known changes are confirmed, further ones may be on their way
	InSync    State = "in sync"     // every change before this moment is confirmed
)

// Destination is one destination of a sync block.
type Destination struct {
	Destination string `json:"destination"`
	State       State  `json:"state"`
	// Pending counts the changes that are not confirmed, those being sent included; a change may be a
	// whole subtree.
	Pending int `json:"pending"`
	// Oldest is when the oldest of them was seen; the lag counts from there.
	Oldest *time.Time `json:"oldest,omitempty"`
	// SyncedAt is a moment before which everything that was changed is confirmed, the latest that is known.
	SyncedAt      *time.Time `json:"synced_at,omitempty"`
	LastConfirmed *time.Time `json:"last_confirmed,omitempty"` // a transfer
	LastFull      *time.Time `json:"last_full,omitempty"`      // comparison of everything
	Progress      *Progress  `json:"progress,omitempty"`       // of the transfer under way
	Large         string     `json:"large,omitempty"`          // the large file that is on its way beside the others
	Waits         bool       `json:"waits,omitempty"`          // until transfers elsewhere have ended, because of max_transfers
	Away          *Failure   `json:"away,omitempty"`
	Hold          *Hold      `json:"hold,omitempty"`
	Failing       []Path     `json:"failing,omitempty"`      // at most ten
	FailingMore   int        `json:"failing_more,omitempty"` // how many others
	Sent          Totals     `json:"sent"`
}

// Totals count since the daemon has started.
type Totals struct {
	Batches uint64 `json:"batches"`
	Files   uint64 `json:"files"`
	Deleted uint64 `json:"deleted"`
	Bytes   uint64 `json:"bytes"`
}

// Progress is how far a transfer is.
type Progress struct {
	Since time.Time `json:"since"`
	Files uint64    `json:"files"`
	Bytes uint64    `json:"bytes"`
	// Portion is how much of all is done, from 0 to 1, as far as the transport can tell; 0 = not known.
	Portion float64 `json:"portion,omitempty"`
}

// Failure is why a destination as a whole is not served.
type Failure struct {
	Text  string     `json:"text"`
	Since time.Time  `json:"since"`
	Next  *time.Time `json:"next,omitempty"` // try
}

// Hold is something that waits for a person.
type Hold struct {
	Kind     string    `json:"kind"` // missing, empty, replaced, deletions …
	Text     string    `json:"text"` // what was seen and what would have been lost
	Since    time.Time `json:"since"`
	Commands []string  `json:"commands,omitempty"` // that go on from here
	Sample   []string  `json:"sample,omitempty"`   // some of the paths, at most ten
}

// Path is one that cannot be sent.
type Path struct {
	Path     string     `json:"path"` // as operators read it, quoted where need be
	Text     string     `json:"text"`
	Since    time.Time  `json:"since"`
	Next     *time.Time `json:"next,omitempty"` // try; absent while it is under way
	Attempts int        `json:"attempts"`
}
