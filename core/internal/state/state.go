// Package state keeps the little that must survive a restart: which directory each source was, how much was
// in it, when each destination was last in step, what is held and what is paused.
//
// None of it is needed to transfer anything. When it is missing or damaged, nothing is known: that makes a
// careful first run, in which an empty source is held and few deletions are allowed, and never means that
// everything was deleted.
package state

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/filewatch/filewatch/core/internal/guard"
)

// Sync is what is remembered of one sync block. The zero Sync knows nothing. The holds in it are not to be
// changed, only replaced.
type Sync struct {
	Source       guard.Source  `json:"source,omitzero"`
	Mounts       Mounts        `json:"mounts,omitzero"`
	Destinations []Destination `json:"destinations,omitempty"`
	Paused       bool          `json:"paused,omitempty"`
}

// Mounts are the mounts below the source that were synced; see mounts.Known.
type Mounts struct {
	Boot string   `json:"boot,omitempty"` // of the system that they are of
	List []Mount  `json:"list,omitempty"`
	Held []string `json:"held,omitempty"` // why some of them, or others, were held
}

// Mount is one of Mounts.
type Mount struct {
	Path    guard.Path `json:"path"` // relative to the source
	ID      uint64     `json:"id"`
	Key     guard.Path `json:"key"`
	What    guard.Path `json:"what"`
	Lasting bool       `json:"lasting,omitempty"`
	Waiting bool       `json:"waiting,omitempty"`
}

// Destination is what is remembered of one destination.
type Destination struct {
	To        guard.Path  `json:"to"`                 // as sdk.Endpoint.String writes it
	FullSync  time.Time   `json:"full_sync,omitzero"` // when everything was last compared; zero = never
	Confirmed time.Time   `json:"confirmed,omitzero"` // when the transport last confirmed anything; zero = never
	Hold      *guard.Hold `json:"hold,omitempty"`     // the deletions that wait for somebody, if any
}

// Destination returns what is remembered of a destination, to be changed in place until the next call.
func (s *Sync) Destination(to string) *Destination {
	i := slices.IndexFunc(s.Destinations, func(d Destination) bool { return d.To == guard.Path(to) })
	if i < 0 {
		i = len(s.Destinations)
		s.Destinations = append(s.Destinations, Destination{To: guard.Path(to)})
	}
	return &s.Destinations[i]
}

// clone returns a copy that shares nothing that may be changed.
func (s Sync) clone() Sync {
	s.Destinations = slices.Clone(s.Destinations)
	s.Mounts.List = slices.Clone(s.Mounts.List)
	s.Mounts.Held = slices.Clone(s.Mounts.Held)
	return s
}

// valid returns an error when s is not what the daemon would keep.
func (s Sync) valid() error {
	if err := s.Source.Valid(); err != nil {
		return err
	}
	for _, m := range s.Mounts.List {
		if m.Path == "" {
			return errors.New("a mount without a path")
		}
	}
	seen := map[guard.Path]bool{}
	for _, d := range s.Destinations {
		switch {
		case d.To == "":
			return errors.New("a destination without a name")
		case seen[d.To]:
			return fmt.Errorf("the destination %s twice", d.To)
		}
		seen[d.To] = true
		if d.Hold == nil {
			continue
		}
		if err := d.Hold.Valid(); err != nil {
			return err
		}
	}
	return nil
}

// Store keeps Syncs by the name of their block. What Save has returned for survives the end of the process
// and of the machine; of a Save that has not returned or has failed, either all survives or nothing. Its
// methods may be called concurrently for different names.
type Store interface {
	// Load returns what was saved last. An error says what is wrong with it and what was done about that;
	// the Sync is then zero and as good as any.
	Load(name string) (Sync, error)
	// Save replaces what is kept.
	Save(name string, s Sync) error
}
