// Command bench measures filewatch beside what it replaces: the script that runs rsync for each event of
// inotifywait, lsyncd, and a bare rsync, the floor. It writes a page of tables and plots.
//
//	bench [-quick] [-run REGEXP] [-dir DIRECTORY] FILEWATCH [DOCS]
//
// FILEWATCH is the filewatch program. The page is written to DOCS/benchmarks.md and its plots to
// DOCS/benchmarks/; without DOCS, and with -run, which picks workloads, the tables go to standard output. All
// contenders reach their destination through a private sshd on the loopback address. Everything else is in a
// new directory in DIRECTORY, by default the one for temporary files, and is removed at the end, also after
// SIGINT and SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// options say what to measure.
type options struct {
	filewatch string // the program
	docs      string // where the page goes; "" = to out
	dir       string // for the trees
	only      *regexp.Regexp
	peers     *regexp.Regexp // the contenders that take part
	scale
}

func main() {
	short := flag.Bool("quick", false, "small trees and few samples: to see that everything works")
	only := flag.String("run", "", "measure only the workloads whose name matches this `regexp`, and print them")
	peers := flag.String("peers", "", "let only the contenders take part whose name matches this `regexp`, and print them")
	dir := flag.String("dir", os.TempDir(), "`directory` to make the trees in")
	flag.Parse()
	o := options{filewatch: flag.Arg(0), docs: flag.Arg(1), dir: *dir, scale: full}
	var err error
	if o.only, err = regexp.Compile(*only); err == nil {
		o.peers, err = regexp.Compile(*peers)
	}
	if err != nil || flag.NArg() < 1 || flag.NArg() > 2 {
		fmt.Fprintln(os.Stderr, "usage: bench [-quick] [-run REGEXP] [-peers REGEXP] [-dir DIRECTORY] FILEWATCH [DOCS]")
		os.Exit(2)
	}
	if *short {
		o.scale = quick
	}
	if *only != "" || *peers != "" {
		o.docs = ""
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := benchmark(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run of the program.
type bench struct {
	options
	*scope
	progress io.Writer
	host     *host
	results  []*result
	goals    []goal
}

// benchmark measures everything. What it is at is told to progress.
func benchmark(ctx context.Context, o options, out, progress io.Writer) error {
	began := time.Now()
	o.filewatch, _ = filepath.Abs(o.filewatch)
	err := inScope(ctx, o.dir, func(s *scope) {
		b := &bench{options: o, scope: s, progress: progress, host: startHost(s)}
		var failures error
		for _, w := range workloads {
			if ctx.Err() == nil && o.only.MatchString(w.name) {
				failures = errors.Join(failures, b.attempt(w))
			}
		}
		s.check(ctx.Err())
		if page := b.page(time.Since(began)); o.docs == "" || failures != nil {
			fmt.Fprint(out, page)
		} else {
			b.write(o.docs, page)
		}
		b.tell("removing what was made")
		s.check(failures)
	})
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// attempt runs a workload and tells what came out.
func (b *bench) attempt(w workload) error {
	b.tell("%s", w.name)
	known := len(b.results)
	if err := b.try(func() { w.run(b) }); err != nil {
		b.tell("  %v", err)
		return fmt.Errorf("%s: %w", w.name, err)
	}
	for _, r := range b.results[known:] {
		for _, l := range r.ordered() {
			b.tell("  %s: %s: %s %s", r.title, l.name, number(l.p50()), r.unit)
		}
	}
	return nil
}

func (b *bench) tell(format string, args ...any) {
	fmt.Fprintf(b.progress, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// wanted tells whether the contender takes part.
func (b *bench) wanted(c *contender) bool { return b.peers.MatchString(c.name) }
