package main

import (
	"fmt"
	"slices"
)

// goal is what is to be reached, and what was.
type goal struct {
	text        string
	value, most float64
	unit        string
}

// What is to be reached.
const (
	mostUserBytes  = 400 // per directory, by inotify
	mostReady      = 10  // ms, by fanotify
	mostEntryBytes = 120 // by polling
)

func (b *benchmark) addWatcherGoals(inotify, fanotify, inotifywait figures, directories int) {
	size := fmt.Sprintf("%d directories: ", directories)
	b.aim(size+"inotify, from the start of its process, ready no later than inotifywait", "ms", inotify[totalTime], inotifywait[totalTime].median())
	b.aim(size+"inotify's own memory per directory", "B", inotify[userBytes], mostUserBytes)
	b.aim(size+"fanotify ready", "ms", fanotify[readyTime], mostReady)
	b.aim(size+"inotify idle", "ms/s", inotify[idleTime], 0)
	// What other programs do in the file system wakes fanotify, too.
	b.aim(size+"fanotify idle, at the quietest", "ms/s", fanotify[idleTime].least(), 0)
	b.aim(size+"changes that inotify missed, at worst", "", inotify[missedChanges].most(), 0)
	b.aim(size+"changes that fanotify missed, at worst", "", fanotify[missedChanges].most(), 0)
}

func (b *benchmark) addPollGoals(poll, find figures) {
	b.aim("a pass over 1,000,000 entries no slower than find", "s", poll[passTime], find[passTime].median())
	b.aim("polling's memory per entry, at worst", "B", poll[entryMemory].most(), mostEntryBytes)
}

// aim adds the goal that the median of what was measured, if it was, is no more than most.
func (b *benchmark) aim(text, unit string, measured samples, most float64) {
	if len(measured) > 0 {
		b.goals = append(b.goals, goal{text, measured.median(), most, unit})
	}
}

// judge prints which goals were reached.
func (b *benchmark) judge() {
	for _, g := range b.goals {
		verdict := "reached"
		if g.value > g.most {
			verdict = "MISSED"
		}
		fmt.Fprintf(b.out, "%-8s %s: %s, at most %s %s\n", verdict, g.text, number(g.value), number(g.most), g.unit)
	}
	if !slices.ContainsFunc(b.goals, func(g goal) bool { return g.value > g.most }) {
		fmt.Fprintln(b.out, "All goals are reached.")
	}
}
