// Package rsync is the transport over rsync(1): to another machine through ssh, to an rsync daemon, or
// to a path on this machine.
//
// A request becomes a few rsync runs (step.go). Paths go to rsync as a list (--files-from), so that no
// directory is read on either side; rsync creates, updates and deletes exactly those. Subtrees, the
// root's included, are compared in full (-r --delete); small new ones are listed (unfold.go). What is in
// step is what rsync said: exit status 0 confirms a run, and after a partial failure a dry run with the
// same list shows which paths still differ (examine.go).
//
// What appeared is sent before what is gone is removed. A first run removes single entries only; where
// directories have to go with what is in them, a second run does it, when it is known that this is within
// the request's limit. When the changes tell what was in them, one run does both. Near the limit, a dry run
// counts first. Runs that are certain to follow are started with the first one (prestart.go).
//
// A file appears under its name when it is complete: rsync writes .NAME.XXXXXX beside it. What a killed rsync
// left there goes with the next try (leftovers.go).
//
// Comparisons of large trees are split over several runs at the same time where that is wanted (parallel.go).
//
// Before the first run to a destination, or when a request without changes asks to make ready for it, a dry run
// probes what the rsync there can do (caps.go). All runs to one ssh destination share a connection that this
// package starts and watches over (conn.go), without an ssh of their own where it can be helped (standin_linux.go).
// While changes come, an rsync that has connected already waits for the next list (standby.go).
package rsync

import (
	"context"
	"sync"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/run"
)

// Plugin returns the plugin "rsync" with its transport, which is to be closed at the end.
func Plugin() sdk.Plugin {
	return sdk.Plugin{Name: "rsync", Version: "1.0.0", Transport: newTransport(), MaxProcs: 1}
}

// transport implements sdk.Transport, sdk.Configurable, sdk.Validator and io.Closer.
type transport struct {
	ctx       context.Context // of the ssh connections and standbys; ends with Close
	cancel    context.CancelFunc
	program   string // what is run as rsync; tests put others in its place
	minSplit  int    // entries of a comparison that is split; tests choose less
	maxAtOnce int    // entries that a run of a split comparison lists at once; tests choose less
	minRename int64  // what a rename at the far end has to spare; tests choose less

	measureAfter time.Duration // see session.measure; tests choose less
	maxSilence   time.Duration // see conn.tend; tests choose less

	mu       sync.Mutex               // guards all fields below
	conns    map[peer]*conn           // connections to ssh destinations
	caps     map[peer]probedCaps      // what is known about the far end
	standbys map[peer]*standby        // nil after Close
	known    map[peer]bool            // what all requests so far have left there; see session.beginAgain
	removals map[peer]map[string]bool // see session.presume; the maps belong to the one session of the peer
	mute     map[peer]*run.Process    // connections over which no commands are run
	dir      string                   // private directory of the control sockets; "" = not made yet
	sockets  int                      // names given in it
}

// peer is what one connection and one probe are for.
//
// Calls that are beside have a connection to themselves, so that the small files of the others need not queue
// behind theirs in one.
type peer struct {
	sync        string
	destination sdk.Endpoint
	beside      bool
}

var (
	_ sdk.Transport    = (*transport)(nil)
	_ sdk.Configurable = (*transport)(nil)
	_ sdk.Validator    = (*transport)(nil)
)

func newTransport() *transport {
	t := &transport{
		program:   "rsync",
		minSplit:  minEntries,
		maxAtOnce: maxAtOnce,
		minRename: defaultMinRename, measureAfter: measureAfter, maxSilence: maxSilence,
		conns: map[peer]*conn{}, caps: map[peer]probedCaps{}, standbys: map[peer]*standby{}, mute: map[peer]*run.Process{},
		removals: map[peer]map[string]bool{}, known: map[peer]bool{},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Config implements sdk.Configurable.
func (t *transport) Config() any { return defaultConfig() }

// Close ends all ssh connections, and what waits on standby. Runs that use them fail.
func (t *transport) Close() error {
	t.closeStandbys()
	t.cancel()
	return t.closeConns()
}
