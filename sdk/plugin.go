package sdk

import "context"

// Plugin is what a plugin program serves: a Watcher, a Transport, or both.
type Plugin struct {
	Name      string // [a-z][a-z0-9-]*; equal to NAME in the file name filewatch-plugin-NAME
	Version   string // for people
	Watcher   Watcher
	Transport Transport
	// MaxProcs is how many processors the plugin's Go code uses at once (runtime.GOMAXPROCS); 0 = as many as
	// there are. A plugin that mostly waits for the kernel and for child processes does best with 1: a change
	// then costs it a third less processor time, which goes into waking threads otherwise.
	MaxProcs int
}

// Configurable is implemented by a Watcher or Transport whose block in the configuration has a body.
type Configurable interface {
	// Config returns a pointer to a new struct whose fields have `hcl` tags (see package schema) and
	// hold the defaults. filewatch derives the block's schema from it; each request carries one that
	// the block's values were filled into.
	Config() any
}

// Validator is implemented by a Watcher or Transport that can tell more about a configuration than
// its schema does.
type Validator interface {
	// Validate judges the configuration of one sync block and destination. It may be called at any
	// time and concurrently, has no side effects and opens no connection.
	Validate(ctx context.Context, req ValidateRequest) Diagnostics
}

// ValidateRequest is what a Validator judges.
type ValidateRequest struct {
	Sync        string   // name of the sync block
	Source      string   // absolute path of the root
	Destination Endpoint // zero for a Watcher
	Exclude     []string // rsync patterns
	Config      any      // what Config returned, filled; nil when not Configurable
}

// Watcher reports what changes below a root.
type Watcher interface {
	// Watch watches req.Root until ctx ends, and reports to r. It calls r.Ready once every change from
	// then on will be reported. It may be called for several roots at once.
	//
	// It returns nil after ctx has ended, and an error when the root cannot be watched or has ceased to
	// be the directory it was; filewatch then tries again and compares everything. A part that
	// cannot be watched is no error: see Reporter.Unwatched.
	Watch(ctx context.Context, req WatchRequest, r Reporter) error
}

// WatchRequest says what to watch.
type WatchRequest struct {
	Sync    string   // name of the sync block, for logs
	Root    string   // absolute path of a directory
	Exclude []string // rsync patterns (package filter): need be neither watched nor reported
	// Only are paths relative to the root, none below another: changes have to be reported at and below
	// them alone, and reporting others does no harm. One that is missing is waited for. None = all.
	Only   []string
	Config any // what Config returned, filled; nil when not Configurable
	// Barriers asks for proof, any number of times: for each value received the watcher calls Reached
	// once every change that was made before the receipt has been reported. It is never closed.
	Barriers <-chan Barrier
}

// Barrier asks a watcher to prove that it has seen everything up to now.
type Barrier struct{ reached func() }

// NewBarrier returns a barrier that calls reached, which must not block, when it is reached.
func NewBarrier(reached func()) Barrier { return Barrier{reached} }

// Reached says that every change that was made before the barrier was received has been reported. It
// is called at most once and does not block.
func (b Barrier) Reached() { b.reached() }

// Transport brings a destination in step with a source.
type Transport interface {
	// Sync applies the changes. It must be idempotent: the same request may come again after a failure,
	// whatever the first try did. It looks at the source itself; the changes only say where.
	//
	// A nil error confirms every change except those in Result.Failed and the deletions in
	// Result.Withheld, and what is in Result.Large and Result.Deferred; with an error nothing is confirmed.
	// Unavailable and Misconfigured tell the core how to try again. Sync is called for many destinations at once, but for the
	// same sync block and destination never twice at once, except that one call that is Beside may run at the
	// same time as another that is not. When ctx ends it stops soon and leaves no half-written file under its
	// final name. It calls progress from one goroutine at a time, and not after it has returned.
	//
	// A request without changes asks for nothing but to make ready for one that follows: to connect, to look what
	// the far end can do. It changes nothing at the destination, its Result is empty, and nobody is told of its
	// failure, which the one that follows meets as well. A transport that has nothing to make ready returns at once.
	Sync(ctx context.Context, req SyncRequest, progress func(Progress)) (Result, error)
}

// SyncRequest says what to bring in step.
type SyncRequest struct {
	Sync        string   // name of the sync block
	ID          string   // of this batch, for logs
	Attempt     int      // 1 when none of the changes has been tried before; an earlier call may have broken off anywhere
	Source      string   // absolute path of the root; its contents become the destination's contents
	Destination Endpoint // where the contents go
	Exclude     []string // rsync patterns relative to the root: never sent and never deleted
	Delete      bool     // remove what is gone from the source
	// MaxDelete is how many more entries may be removed than are created, so that a rename needs none; 0 =
	// any number. A Sync that would remove more removes fewer, none if it can tell before it begins, and
	// says so in Result.Withheld.
	MaxDelete uint64
	Changes   []Change // no path twice; what was renamed may be below another that covers it; none: see Transport
	// MaxSize is in bytes: regular files larger than that are better left out and named in Result.Large. Each
	// is then sent by a call of its own, which is Beside, while others go on. 0 = send all.
	MaxSize uint64
	// Beside tells that another call may run at the same time. This one touches nothing but the paths of its
	// changes, all with ScopePath, and directories above them, and removes nothing because it is gone from the
	// source. Where that is not enough, because such a directory was missing at the destination, its path is
	// one that failed.
	Beside bool
	// Busy are paths that a call which is Beside is at work on: neither they, nor what is below them, nor
	// temporary files of theirs are changed at the destination. A DryRun looks at them all the same, but not
	// at temporary files.
	Busy []string
	// MayDefer tells that what is in a directory that is new (ScopeSubtree with OpCreate) may be left out, as long
	// as nothing is done about it at the destination, and named in Result.Deferred: it may have been moved there,
	// which a later call would know. Nothing is removed in that call that may be what was moved. Nor need that be
	// removed which vanishes from the source while the call lasts: a later one is told of it, and where it is then.
	MayDefer bool
	List     bool // name every difference in Progress, and what is Same
	DryRun   bool // change nothing at the destination: list the differences
	Config   any  // what Config returned, filled; nil when not Configurable
}

// Progress is how far a Sync has come.
type Progress struct {
	Files uint64 // handled so far
	Bytes uint64 // of content, so far
	// Deleted and Created are the entries removed and created at the destination so far. They count also if
	// Sync fails, so it reports them once more before it returns an error. What may not have arrived is not
	// called created.
	Deleted, Created uint64
	// Portion is how much of all is done, from 0 to 1, as far as can be told; 0 = not known.
	Portion float64
	// Differences are those mended since the last Progress, when the request asked for a list. An entry
	// may come twice.
	Differences []Difference
}

// Difference is an entry that was not the same at the source and at the destination, or that is Same.
type Difference struct {
	Path string // relative to the root
	Kind DifferenceKind
}

// DifferenceKind tells how an entry differed.
type DifferenceKind uint8

// The kinds.
const (
	Different DifferenceKind = iota // in type, content or attributes
	Missing                         // at the destination
	Extra                           // at the destination, gone from the source
	// Same is a path of the request that was there and needed nothing but the time of a directory, or that was left
	// because it vanished then (MayDefer). The destination may have it, and a watcher that looks now and then may have
	// seen it neither before nor afterwards, so the core looks at it once more. A DryRun does not tell it.
	Same
)

// String returns the kind in one word.
func (k DifferenceKind) String() string {
	switch k {
	case Missing:
		return "missing"
	case Extra:
		return "extra"
	case Same:
		return "same"
	}
	return "different"
}

// Result is the outcome of a Sync.
type Result struct {
	Files   uint64 // created or changed at the destination
	Created uint64 // of Files, those that the destination did not have
	Deleted uint64
	Bytes   uint64 // of content sent
	Failed  []PathError
	// Large are files that were left out because of SyncRequest.MaxSize. One that is certainly the same at the
	// destination need not be among them. At most 1,000, of 1 MiB in all.
	Large []string
	// Deferred are paths that were left out, with all below them, because of SyncRequest.MayDefer. At most 1,000,
	// of 1 MiB in all.
	Deferred []string
	Entries  uint64   // of the source, where the request compared all of it; 0 = not counted
	Withheld Withheld // deletions that were left out
}

// Withheld tells of entries that stayed at the destination because of SyncRequest.MaxDelete. Everything
// else of the request is done.
type Withheld struct {
	Count  uint64   // at least so many; 0 = none
	Sample []string // some of the paths, relative to the root; at most 10
}

// PathError is a path that could not be brought in step. It may lie below a ScopeSubtree change,
// which is then not confirmed.
type PathError struct {
	Path string
	Text string // why, for the operator
}
