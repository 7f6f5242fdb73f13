// Command watchbench measures the watchers on large trees, each as the plugin process that it is in use,
// beside inotifywait, and polling beside find. It prints a table.
//
//	watchbench [-quick] [-dir DIRECTORY] FILEWATCH
//
// FILEWATCH is the filewatch program. The trees are made in a new directory in DIRECTORY, by default the one
// for temporary files, and removed at the end, also after SIGINT and SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options say how much to measure.
type options struct {
	filewatch string // the program
	dir       string // for the trees
	sizes     []size
	races     int           // in each run
	passes    int           // of polling
	idle      time.Duration // of each measurement of an idle watcher
}

// size is one tree, and how often and with how many writes each watcher is measured on it.
type size struct{ directories, rounds, writes int }

var (
	full  = options{sizes: []size{{10_000, 5, 20_000}, {200_000, 3, 20_000}}, races: 300, passes: 7, idle: 250 * time.Millisecond}
	quick = options{sizes: []size{{100, 1, 200}}, races: 20, passes: 2, idle: 20 * time.Millisecond}
)

func main() {
	short := flag.Bool("quick", false, "a small tree, once: to see that everything works")
	dir := flag.String("dir", os.TempDir(), "`directory` to make the trees in")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: watchbench [-quick] [-dir DIRECTORY] FILEWATCH")
		os.Exit(2)
	}
	o := full
	if *short {
		o = quick
	}
	o.filewatch, o.dir = flag.Arg(0), *dir
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "watchbench:", err)
		os.Exit(1)
	}
}

// bench measures everything and prints the tables to out. What it is at is told to progress.
func bench(ctx context.Context, o options, out, progress io.Writer) (err error) {
	dir, err := os.MkdirTemp(o.dir, "watchbench-")
	if err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(progress, "removing", dir)
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	b := &benchmark{options: o, ctx: ctx, dir: dir, out: out, progress: progress}
	if err := b.run(); ctx.Err() == nil {
		return err
	}
	return errors.New("interrupted")
}
