package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// The figures of polling.
const (
	passTime    = "time, s/1,000,000 entries"
	passCPU     = "CPU, s/1,000,000 entries"
	entryMemory = "memory, B/entry"
)

// poll measures passes of the poll plugin over t, in which nothing changes, beside find. It prints the table.
func (b *benchmark) poll(t, empty *tree) error {
	// Passes only when a barrier asks for one.
	c := &contender{column: column{"poll", figures{}}, start: b.builtin("poll", `{"interval":"24h"}`)}
	find := column{"find -printf", figures{}}
	if err := c.measureEmpty(b.ctx, empty); err != nil {
		return err
	}
	r := newRecord()
	w, err := c.start(b.ctx, t.root, r)
	if err != nil {
		return err
	}
	defer w.stop()
	began := load()
	entries := float64(t.entries())
	for i := range b.passes {
		fmt.Fprintf(b.progress, "%.0f entries, pass %d of %d: poll and find\n", entries, i+1, b.passes)
		start := time.Now()
		spent, err := spending(w, w.settle)
		if err != nil {
			return err
		}
		c.add(passTime, time.Since(start).Seconds()/entries*1e6)
		c.add(passCPU, spent.Seconds()/entries*1e6)
		user, err := userMemory(w.PID())
		if err != nil {
			return err
		}
		c.add(entryMemory, float64(user-c.baseUser)/entries)

		start = time.Now()
		ended, err := b.find(t)
		if err != nil {
			return err
		}
		find.add(passTime, time.Since(start).Seconds()/entries*1e6)
		find.add(passCPU, (ended.UserTime()+ended.SystemTime()).Seconds()/entries*1e6)
		if usage, ok := ended.SysUsage().(*syscall.Rusage); ok {
			find.add(entryMemory, float64(usage.Maxrss<<10)/entries)
		}
	}
	fmt.Fprintf(b.out, "%.0f entries, polled while nothing changes. Median (least–most) of %d passes, each followed by find; load average %s to %s.\n\n", entries, b.passes, began, load())
	printTable(b.out, []string{passTime, passCPU, entryMemory}, []column{c.column, find})
	fmt.Fprintln(b.out)
	b.addPollGoals(c.figures, find.figures)
	return nil
}

// find has find(1) look at everything in t.
func (b *benchmark) find(t *tree) (*os.ProcessState, error) {
	cmd := exec.CommandContext(b.ctx, "find", t.root, "-printf", `%p %s %T@ %C@\n`)
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	return cmd.ProcessState, nil
}
