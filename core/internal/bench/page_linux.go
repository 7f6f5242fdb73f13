package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk/run"
)

const intro = `# Benchmarks

How filewatch does beside what it replaces, written by ` + "`make bench`" + `: the classic script, a loop of inotifywait and
rsync; the same over a shared ssh connection; lsyncd as it is shipped, and at its best (no delay, a shared
connection); and a bare rsync that is connected beforehand and told what has changed, below which nothing built on
rsync can get. filewatch has its defaults. All run in turns, on one machine, to a private sshd on the loopback address.

`

const repeat = `## How to repeat

    make bench                                      # installs lsyncd and inotify-tools where missing
    bin/bench -run 'change|burst' bin/filewatch     # some workloads, to standard output

As root as well as an ordinary user. The trees are made below the directory for temporary files, which needs room for
3 million files and 8 GB. Nothing else should be running: compare the ratios, not the figures, of two runs.

`

// page returns the page of results.
func (b *bench) page(took time.Duration) string {
	var w strings.Builder
	w.WriteString(intro)
	b.describe(&w, took)
	w.WriteString(repeat)
	b.judge(&w)
	for _, r := range b.results {
		if len(r.lines) > 0 {
			r.print(&w, b.docs != "")
		}
	}
	return strings.TrimRight(w.String(), "\n") + "\n"
}

// write writes the page and its plots.
func (b *bench) write(docs, page string) {
	b.check(os.WriteFile(filepath.Join(docs, "benchmarks.md"), []byte(page), 0o644))
	plots := filepath.Join(docs, "benchmarks")
	b.check(os.MkdirAll(plots, 0o755))
	for _, r := range b.results {
		if len(r.lines) > 0 {
			b.check(os.WriteFile(filepath.Join(plots, r.id+".svg"), []byte(plot(r)), 0o644))
		}
	}
}

// describe tells on what was measured.
func (b *bench) describe(w *strings.Builder, took time.Duration) {
	var uts unix.Utsname
	b.check(unix.Uname(&uts))
	var memory unix.Sysinfo_t
	b.check(unix.Sysinfo(&memory))
	fmt.Fprintf(w, "| | |\n|---|---|\n")
	row := func(what, value string) { fmt.Fprintf(w, "| %s | %s |\n", what, value) }
	row("date", fmt.Sprintf("%s, took %v", time.Now().UTC().Format(time.DateOnly), took.Round(time.Second)))
	row("machine", fmt.Sprintf("%d × %s, %d GB", runtime.NumCPU(), processor(), int(math.Round(float64(memory.Totalram)*float64(memory.Unit)/1e9))))
	row("kernel", unix.ByteSliceToString(uts.Sysname[:])+" "+unix.ByteSliceToString(uts.Release[:])+" "+unix.ByteSliceToString(uts.Machine[:]))
	row("filewatch", b.firstLine(b.filewatch, "version"))
	row("Go", runtime.Version())
	row("rsync", b.firstLine("rsync", "--version"))
	row("ssh", b.firstLine("ssh", "-V"))
	row("lsyncd", b.firstLine("lsyncd", "--version"))
	row("inotify-tools", b.firstLine("inotifywait", "--help"))
	fmt.Fprintln(w)
}

// firstLine returns the first line that a command prints, whatever it thinks of its arguments.
func (b *bench) firstLine(name string, args ...string) string {
	var out strings.Builder
	if _, err := run.Run(b.ctx, run.Command{Path: name, Args: args, Stdout: &out, Stderr: &out}); err != nil {
		return "none"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(out.String()), "\n")
	return line
}

// processor returns the name of the processor.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// judge tells which goals were reached.
func (b *bench) judge(w *strings.Builder) {
	if len(b.goals) == 0 {
		return
	}
	fmt.Fprintf(w, "## To reach\n\n| filewatch | measured | at most | reached |\n|---|---:|---:|---|\n")
	for _, g := range b.goals {
		fmt.Fprintf(w, "| %s | %s %s | %s %s | %s |\n", g.text, number(g.value), g.unit, number(g.most), g.unit, map[bool]string{true: "yes", false: "**no**"}[g.reached()])
	}
	fmt.Fprintln(w)
}

// print writes the section of a result: what was done, a plot, and a table. The last column compares the
// medians with filewatch's.
func (r *result) print(w *strings.Builder, plotted bool) {
	fmt.Fprintf(w, "## %s\n\n%s\n\n", r.title, r.text)
	if plotted {
		fmt.Fprintf(w, "![%s](benchmarks/%s.svg)\n\n", r.title, r.id)
	}
	fmt.Fprintf(w, "| %s | p50 | p95 | least–most | samples | ÷ filewatch |\n|---|---:|---:|---:|---:|---:|\n", r.unit)
	for _, l := range r.ordered() {
		median, spread, p95 := number(l.p50()), "", ""
		if len(l.samples) == 0 {
			median = "not in step after 1 min"
		}
		if len(l.samples) > 1 {
			spread = number(l.quantile(0)) + "–" + number(l.quantile(1))
		}
		if len(l.samples) >= enoughForP95 {
			p95 = number(l.p95())
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %d | %s |\n", l.name, median, p95, spread, len(l.samples), r.compare(l))
	}
	fmt.Fprintln(w)
}

// enoughForP95 samples make it more than the greatest of them.
const enoughForP95 = 20

// compare returns the ratio of the line's median and that of filewatch, if it was measured.
func (r *result) compare(l *line) string {
	if us := r.of(filewatch.name).p50(); us > 0 && len(l.samples) > 0 {
		return number(l.p50() / us)
	}
	return ""
}
