// Package control lets an operator see and steer a running daemon: HTTP and JSON over a unix socket that
// only the daemon's user and root can use.
//
//	GET  /v1/status[?sync=NAME]                    a status.Report
//	POST /v1/flush[?sync=NAME][&timeout=30s]       answers once all is confirmed
//	POST /v1/pause|resume|resync|approve?sync=NAME
//	POST /v1/verify?sync=NAME[&repair=true]        a line of JSON for each difference, then one that says how it ended
//
// What cannot be done is answered with {"error": TEXT} and a status: 400 for a request that makes no sense,
// 404 for an unknown sync, 504 when a flush took too long, 409 for all else. The text is for the operator.
package control

import (
	"context"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
)

// Daemon is what a Server makes available. Its methods are called concurrently. An error is shown to the
// operator as it is and says what is the matter where, in several lines if need be. A name that no sync has is
// an error too, which the Server words.
type Daemon interface {
	// Status returns the state of everything, at once.
	Status() status.Report
	// Flush returns nil once every change that was made before the call is confirmed at every destination
	// of the sync, of all syncs for "". It fails at once when that cannot be: a destination is away or
	// held, a sync is paused, a path fails; and with the error of ctx when that ends.
	Flush(ctx context.Context, name string) error
	// Pause stops the transfers of a sync until Resume.
	Pause(name string) error
	// Resume ends a pause.
	Resume(name string) error
	// Resync asks for a comparison of everything, and does not wait for it.
	Resync(name string) error
	// Approve lets what is held through, once, and returns what that is, in words.
	Approve(name string) ([]string, error)
	// Verify compares the source with every destination of the sync and calls found for each difference,
	// as it is found. With repair it mends them, and fails when one could not be mended. It ends soon
	// after ctx. found may be called concurrently, until Verify returns; it may take up to 10 s when the
	// operator's terminal does not read, so no lock is held meanwhile.
	Verify(ctx context.Context, name string, repair bool, found func(destination string, d sdk.Difference)) error
}

// Difference is an entry that is not the same at the source and at a destination.
type Difference struct {
	Destination string `json:"destination"`
	Kind        string `json:"kind"` // missing or extra at the destination, or different
	Path        string `json:"path"` // as operators read it, quoted where need be
}

// line is one of the answer to verify: a difference, or the last one, without which it is not complete.
type line struct {
	*Difference
	End   bool   `json:"end,omitempty"`
	Error string `json:"error,omitempty"` // why it could not be completed
}

// Error is the answer of a daemon that cannot do what was asked.
type Error struct {
	Status int // of HTTP, see the package
	Text   string
}

func (e *Error) Error() string { return e.Text }
