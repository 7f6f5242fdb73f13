package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// benchmark is one run of the program.
type benchmark struct {
	options
	ctx      context.Context
	dir      string // holds the trees
	out      io.Writer
	progress io.Writer
	goals    []goal
}

// The figures of a watcher.
const (
	startTime     = "process start, ms"
	readyTime     = "until ready, ms"
	totalTime     = "both, ms"
	processMemory = "process, empty tree, MB"
	userBytes     = "user memory, B/directory"
	kernelBytes   = "kernel memory, B/directory"
	eventTime     = "CPU, ms/10,000 events"
	readyCPU      = "CPU until ready, ms"
	idleTime      = "CPU when idle, ms/s"
	missedChanges = "missed changes"
	wholeReports  = "whole tree in doubt, times"
)

var watcherFigures = []string{
	startTime, readyTime, totalTime, readyCPU, processMemory, userBytes, kernelBytes, eventTime, idleTime, missedChanges, wholeReports,
}

// idleTimes is how often an idle watcher is measured.
const idleTimes = 20

// contender is a watcher that is measured.
type contender struct {
	column
	start watcher
	// What it takes when there is nothing to watch, in bytes.
	baseUser, baseKernel int64
}

func (b *benchmark) run() error {
	if err := b.describe(); err != nil {
		return err
	}
	empty := filepath.Join(b.dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		return err
	}
	for i, s := range b.sizes {
		n := s.directories
		if limit := maxWatches(); limit < n {
			n = limit / 1000 * 1000
			fmt.Fprintf(b.out, "%d directories in place of %d, for this user may watch no more with inotify (fs.inotify.max_user_watches).\n\n", n, s.directories)
		}
		fmt.Fprintf(b.progress, "making %d directories\n", n)
		t, err := makeTree(b.ctx, filepath.Join(b.dir, fmt.Sprint(n)), n)
		if err == nil {
			_, err = b.find(t) // so that all is in the kernel's caches
		}
		if err != nil {
			return err
		}
		if err := b.watch(t, &tree{root: empty}, s); err != nil {
			return err
		}
		if i == len(b.sizes)-1 {
			if err := b.poll(t, &tree{root: empty}); err != nil {
				return err
			}
		}
	}
	b.judge()
	return nil
}

// watch measures the watchers on t, and prints the table.
func (b *benchmark) watch(t, empty *tree, s size) error {
	contenders := []*contender{
		{column: column{"inotify", figures{}}, start: b.builtin("inotify", "")},
		{column: column{"fanotify", figures{}}, start: b.builtin("fanotify", "")},
		{column: column{"inotifywait -mr", figures{}}, start: startInotifywait},
	}
	began := load()
	changes := 0
	for round := range s.rounds {
		for i := range contenders {
			c := contenders[(i+round)%len(contenders)] // none is always the first
			fmt.Fprintf(b.progress, "%d directories, round %d of %d: %s\n", len(t.directories)+1, round+1, s.rounds, c.name)
			if round == 0 {
				err := c.measureEmpty(b.ctx, empty)
				if sdk.IsMisconfigured(err) {
					fmt.Fprintf(b.out, "%v\n\n", err)
					c.start = nil
				} else if err != nil {
					return err
				}
			}
			if c.start == nil {
				continue
			}
			var err error
			if changes, err = b.measure(c, t, s, round == 0); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(b.out, "%d directories, %d files. Median (least–most) of %d rounds; load average %s to %s.\n\n", len(t.directories)+1, t.entries()-len(t.directories)-1, s.rounds, began, load())
	var columns []column
	for _, c := range contenders {
		columns = append(columns, c.column)
	}
	printTable(b.out, watcherFigures, columns)
	fmt.Fprintf(b.out, "\nEach round has %d changes: %d writes, and %d directories that are made with something in them and renamed at once.\n\n", changes, s.writes, b.races)
	b.addWatcherGoals(contenders[0].figures, contenders[1].figures, contenders[2].figures, len(t.directories)+1)
	return nil
}

// measureEmpty measures what the watcher takes when there is nothing to watch.
func (c *contender) measureEmpty(ctx context.Context, empty *tree) error {
	before, err := settledKernelMemory()
	if err != nil {
		return err
	}
	w, err := c.start(ctx, empty.root, newRecord())
	if err != nil {
		return err
	}
	defer w.stop()
	if c.baseUser, err = userMemory(w.PID()); err != nil {
		return err
	}
	c.add(processMemory, float64(c.baseUser)/1e6)
	after, err := kernelMemory()
	c.baseKernel = max(after-before, 0)
	return err
}

// measure lets the watcher watch the tree, works in it, and returns how many changes it made.
func (b *benchmark) measure(c *contender, t *tree, s size, idle bool) (changes int, err error) {
	if err := os.Mkdir(filepath.Join(t.root, races), 0o755); err != nil {
		return 0, err
	}
	defer func() {
		if tidyErr := t.tidy(); err == nil {
			err = tidyErr
		}
	}()
	kernel, err := settledKernelMemory()
	if err != nil {
		return 0, err
	}
	r := newRecord()
	w, err := c.start(b.ctx, t.root, r)
	if err != nil {
		return 0, err
	}
	defer w.stop()
	kernelNow, err := kernelMemory()
	if err != nil {
		return 0, err
	}
	user, err := userMemory(w.PID())
	if err != nil {
		return 0, err
	}
	spent, err := processorTime(w.PID())
	if err != nil {
		return 0, err
	}
	c.add(readyCPU, milliseconds(spent))
	started, ready := w.times()
	if started > 0 {
		c.add(startTime, milliseconds(started))
	}
	c.add(readyTime, milliseconds(ready))
	c.add(totalTime, milliseconds(started+ready))
	directories := float64(len(t.directories) + 1)
	c.add(userBytes, float64(user-c.baseUser)/directories)
	c.add(kernelBytes, float64(kernelNow-kernel-c.baseKernel)/directories)

	var written, raced []change
	spent, err = spending(w, func() (err error) {
		if written, err = t.write(s.writes); err != nil {
			return err
		}
		return w.settle()
	})
	if err != nil {
		return 0, err
	}
	c.add(eventTime, milliseconds(spent)*10_000/float64(s.writes*eventsPerWrite))
	if raced, err = t.race(b.races); err == nil {
		err = w.settle()
	}
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	c.add(wholeReports, float64(r.whole))
	r.mu.Unlock()
	all := append(written, raced...)
	c.add(missedChanges, float64(r.missed(all)))
	if idle {
		for i := range idleTimes + 1 {
			spent, err := spending(w, func() error { return b.sleep(b.idle) })
			if err != nil {
				return 0, err
			}
			if i > 0 { // the first is for the last of the work
				c.add(idleTime, milliseconds(spent)/b.idle.Seconds())
			}
		}
	}
	return len(all), nil
}

// spending returns the processor time that the watcher spends during f.
func spending(w watching, f func() error) (time.Duration, error) {
	before, err := processorTime(w.PID())
	if err == nil {
		err = f()
	}
	if err != nil {
		return 0, err
	}
	after, err := processorTime(w.PID())
	return after - before, err
}

// sleep sleeps, unless the program is to end.
func (b *benchmark) sleep(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
