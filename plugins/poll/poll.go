// Package poll watches directory trees by looking at them again and again. It is for what the kernel
// does not report: changes made on other hosts of a network file system, behind a FUSE mount, or in
// the layers below an overlay.
//
// A full pass reads every directory and looks at every entry, in parallel, and compares both with
// what it found there before: modification and change time in nanoseconds, size, inode, mode, owner,
// device. An entry that changed so shortly before the look that a further change could leave all of
// these as they are is reported once more by the next pass. Every name is looked at by itself, so
// that a file with several hard links is reported under all of them.
//
// # What is found when
//
// As long as a full pass costs no more than its share of the load, every change is found within the
// interval: with the defaults, some 100,000 entries in the cache of a local file system. In a larger
// tree half of the load goes to full passes, as often as it allows, and half to light ones in between,
// at the interval if it allows that. A light pass looks at every directory, reads those that have
// changed, and looks at the files that have changed in the last minutes: what is created, removed,
// renamed or replaced is found as soon as in a small tree, and so is a file that is written again and
// again. Only the first write to a file that rested, and a change of its attributes, waits for the
// next full pass.
//
// Where only some subtrees are to be watched nothing else is read, and of the directories above them just
// the names on the way are looked at.
//
// # What is unknown
//
// A directory that cannot be read is unknown, not empty: what was known of it stays, it is reported as
// not watched, and once it can be read again as changed in the whole. So is a listing that fails half
// way, and an entry that cannot be looked at. What a listing leaves out counts as removed only when a
// look at it says the same. A directory on which something is mounted or unmounted has changed in the
// whole. A root that is not the directory it was ends the watch, and nothing in it is reported as
// removed.
//
// Limits: a write through mmap to a page that was written to since the kernel last stored it moves no
// time, and is seen with the next one that does. An entry that comes and goes between two looks is not
// seen at all; if a transfer that compared its directory read it in between, it stays at the
// destination until the next comparison.
package poll

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// Plugin returns the plugin, to be served.
func Plugin() sdk.Plugin {
	return sdk.Plugin{Name: "poll", Version: "1.0.0", Watcher: watcher{}}
}

// garbage is how much of this process's memory may be garbage, in percent of what is not. What is known of
// a tree is large and lives long, and holds so few pointers that looking for garbage often costs little.
const garbage = 10

type watcher struct{}

var (
	_ sdk.Watcher      = watcher{}
	_ sdk.Configurable = watcher{}
	_ sdk.Validator    = watcher{}
)

// Watch implements sdk.Watcher.
func (watcher) Watch(ctx context.Context, req sdk.WatchRequest, r sdk.Reporter) error {
	exclude, err := filter.Parse(req.Exclude)
	if err != nil {
		return sdk.Misconfigured(fmt.Errorf("exclude: %w", err))
	}
	c, ok := req.Config.(*config)
	if !ok {
		c = defaultConfig()
	}
	load, err := parsePercent(c.MaxLoad)
	if err != nil {
		return sdk.Misconfigured(fmt.Errorf("max_load: %w", err))
	}
	debug.SetGCPercent(garbage)
	t := newTree(req.Root, exclude, req.Only, r)
	w := watch{
		pass:     t.pass,
		settle:   t.settle,
		progress: t.progress.Load,
		reporter: r,
		barriers: req.Barriers,
		pace:     pace{interval: c.Interval, load: load},
	}
	return w.run(ctx)
}
