// Package config reads HCL files into blocks whose values know the place they came from.
//
// It knows the language of the core: which blocks and attributes there are, variables, locals,
// functions, and how `defaults` shine through. What the bodies of `watcher` and `transport` blocks
// may hold only their plugins know; they are kept as Layers for package plan to decode.
package config

import (
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Config is what a set of files says.
type Config struct {
	// Files are the files read, by name, for hcl.NewDiagnosticTextWriter. They are there after
	// errors too.
	Files map[string]*hcl.File
	// Complete tells that Load reported no error. Otherwise values that are missing or wrong have
	// been reported and read as Unset, so that the rest can still be checked.
	Complete bool

	LogLevel  string // trace, debug, info, warn or error
	LogFormat string // text or json
	StateDir  string // absolute; "" when wrong
	// MaxTransfers is how many transfers are under way at a time; 0 = any number.
	MaxTransfers int
	Plugins      []Plugin
	Syncs        []Sync
	// Defaults are the components that the defaults block sets up, whether a sync uses them or not.
	Defaults []Component
}

// Plugin is a `plugin` block: where a plugin that is not built in is found.
type Plugin struct {
	Name   string
	Path   string // absolute
	SHA256 string // 64 lower-case hex digits, or "" when not given
	Range  hcl.Range
}

// Sync is a `sync` block, on top of `defaults`.
type Sync struct {
	Name      string
	NameRange hcl.Range
	Dir       string // absolute; what relative paths are relative to

	Source       Value[string]
	Destinations []Value[string] // none when missing or wrong

	Settings
	Watcher   Component
	Transport Component
}

// Settings are the attributes that `sync` and `defaults` have in common.
type Settings struct {
	User      Value[string]
	Exclude   Value[[]Value[string]] // a sync's list replaces that of the defaults
	Delete    Value[bool]
	MaxDelete Value[MaxDelete]
	Settle    Value[time.Duration]
	MaxDelay  Value[time.Duration] // not below Settle
	Rescan    Value[time.Duration] // 0 = never
	LargeFile Value[uint64]        // bytes; 0 = no file is
}

// Value is a value and the place that gave it.
type Value[T any] struct {
	V      T
	Origin Origin
	Range  hcl.Range // of the expression; zero when Unset
}

// Origin tells which block gave a value.
type Origin uint8

// The origins.
const (
	Unset        Origin = iota // none: V is the built-in default
	FromDefaults               // the defaults block
	FromSync                   // the sync block itself
)

// over returns v, or under where v is not set.
func (v Value[T]) over(under Value[T]) Value[T] {
	if v.Origin == Unset {
		return under
	}
	return v
}

// Component is a `watcher` or `transport` block: which plugin, and its configuration.
type Component struct {
	Kind   string    // watcher or transport
	Plugin string    // "" when it is no possible name
	Range  hcl.Range // of the plugin's name, or of the sync's where no block names it
	// Layers are the bodies that configure it, most specific first: what is null or missing in one
	// is taken from the next.
	Layers []Layer
}
