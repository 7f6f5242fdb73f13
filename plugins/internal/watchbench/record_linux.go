package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// change is a path, relative to the root, at which something changed at that time or right after it.
type change struct {
	path string
	at   time.Time
}

// record is what a watcher has told. It is the sdk.Reporter of the plugins.
type record struct {
	readyOnce sync.Once
	ready     chan struct{} // closed when everything is watched

	mu       sync.Mutex // guards all below
	paths    map[string]time.Time
	subtrees map[string]time.Time
	whole    int    // how often the whole root was told to be in doubt
	blind    string // why something is not watched
}

var _ sdk.Reporter = (*record)(nil)

func newRecord() *record {
	return &record{ready: make(chan struct{}), paths: make(map[string]time.Time), subtrees: make(map[string]time.Time)}
}

// Ready implements sdk.Reporter.
func (r *record) Ready() { r.readyOnce.Do(func() { close(r.ready) }) }

// Change implements sdk.Reporter.
func (r *record) Change(c sdk.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if c.Scope == sdk.ScopePath {
		r.paths[c.Path] = now
		return
	}
	r.subtrees[c.Path] = now
	if c.Path == "" {
		r.whole++
	}
}

// Unwatched implements sdk.Reporter.
func (r *record) Unwatched(paths []string, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blind = ""
	if len(paths) > 0 {
		r.blind = fmt.Sprintf("%d subtrees are not watched: %s", len(paths), reason)
	}
}

// missed returns how many of the changes were not told after they were made, neither by their path nor as
// part of a subtree.
func (r *record) missed(changes []change) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, c := range changes {
		if !r.told(c) {
			n++
		}
	}
	return n
}

func (r *record) told(c change) bool {
	after := func(told map[string]time.Time, path string) bool {
		at, ok := told[path]
		return ok && !at.Before(c.at)
	}
	if after(r.paths, c.path) || after(r.subtrees, "") {
		return true
	}
	for path := c.path; path != ""; path = path[:max(strings.LastIndexByte(path, '/'), 0)] {
		if after(r.subtrees, path) {
			return true
		}
	}
	return false
}
