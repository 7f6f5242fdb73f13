package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
)

// quickOptions measures filewatch itself and what needs rsync alone, with small trees.
func quickOptions(t *testing.T, workloads, contenders string) options {
	t.Helper()
	program := filepath.Join(t.TempDir(), "filewatch")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/filewatch").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return options{
		filewatch: program, dir: t.TempDir(), scale: quick,
		only: regexp.MustCompile(workloads), peers: regexp.MustCompile(contenders),
	}
}

// wantNothingLeft checks that nothing of a run is left.
func wantNothingLeft(t *testing.T, o options) {
	t.Helper()
	if left, err := os.ReadDir(o.dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	for _, pid := range append(proc.Children(os.Getpid()), proc.WithArg(o.dir)...) {
		t.Errorf("a process is left: %s", proc.Cmdline(pid))
	}
}

func TestQuick(t *testing.T) {
	// checkout is missing: it downloads.
	o := quickOptions(t, "flat|directory|burst|rename|busy|first|idle", "^filewatch$|^bare rsync|^one plain rsync")
	o.docs = t.TempDir()
	var out, progress bytes.Buffer
	if err := benchmark(t.Context(), o, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	wantNothingLeft(t, o)
	page, err := os.ReadFile(filepath.Join(o.docs, "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"one flat directory", "A new directory", "Burst of 30", "Rename of", "on their way", "First sync", "Idle: memory",
		"\n| filewatch | ", "\n| bare rsync", "\n| one plain rsync", "\n## To reach",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(string(page), o.dir) || strings.Contains(string(page), o.docs) {
		t.Errorf("the page names a path of this machine:\n%s", page)
	}
	for _, m := range regexp.MustCompile(`\((benchmarks/.*\.svg)\)`).FindAllStringSubmatch(string(page), -1) {
		if _, err := os.Stat(filepath.Join(o.docs, m[1])); err != nil {
			t.Error(err)
		}
	}
}

// interrupter interrupts when something is printed.
type interrupter struct {
	at     string
	cancel context.CancelFunc
}

func (i interrupter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), i.at) {
		time.AfterFunc(20*time.Millisecond, i.cancel)
	}
	return len(p), nil
}

func TestInterrupted(t *testing.T) {
	o := quickOptions(t, "flat", "")
	o.rounds = 1 << 30 // it does not end by itself
	for _, at := range []string{"making", ": filewatch", ": bare rsync", ": inotifywait"} {
		t.Run(at, func(t *testing.T) {
			o := o
			o.dir = t.TempDir()
			o.peers = regexp.MustCompile(strings.TrimPrefix(at, ": "))
			if at == "making" {
				o.peers = regexp.MustCompile("")
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if err := benchmark(ctx, o, io.Discard, interrupter{at, cancel}); err == nil || err.Error() != "interrupted" {
				t.Errorf("bench: %v, want that it was interrupted", err)
			}
			wantNothingLeft(t, o)
		})
	}
}

func TestFailure(t *testing.T) {
	o := quickOptions(t, "flat", "^filewatch$")
	o.filewatch = "/bin/false"
	if err := benchmark(t.Context(), o, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "filewatch: exit status 1") {
		t.Errorf("bench: %v, want how filewatch ended", err)
	}
	wantNothingLeft(t, o)
}

func TestScope(t *testing.T) {
	var order []string
	wrong := errors.New("wrong")
	err := inScope(t.Context(), t.TempDir(), func(s *scope) {
		s.Cleanup(func() { order = append(order, "first") })
		s.Cleanup(func() { s.Fatalf("at the end") })
		s.within(func(inner *scope) {
			inner.Cleanup(func() { order = append(order, "inner") })
			inner.check(wrong)
		})
		t.Error("went on")
	})
	if !errors.Is(err, wrong) || !strings.Contains(err.Error(), "at the end") {
		t.Errorf("%v, want both errors", err)
	}
	if got := strings.Join(order, " "); got != "inner first" {
		t.Errorf("cleaned up in the order %q", got)
	}
}

func TestSamples(t *testing.T) {
	hundred := make(samples, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, test := range []struct {
		samples
		p50, p95 float64
	}{
		{nil, 0, 0},
		{samples{7}, 7, 7},
		{samples{3, 1, 2}, 2, 3},
		{samples{4, 1, 3, 2}, 2, 4},
		{hundred, 50, 95},
	} {
		if test.samples.p50() != test.p50 || test.samples.p95() != test.p95 {
			t.Errorf("%v: p50 %v, p95 %v, want %v, %v", []float64(test.samples), test.samples.p50(), test.samples.p95(), test.p50, test.p95)
		}
	}
	for v, want := range map[float64]string{0: "0", 1234.5: "1234", 99.96: "100", 12.34: "12.3", 1.234: "1.23", 0.1234: "0.12", 0.0123: "0.012", -2.5: "-2.50"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestGoals(t *testing.T) {
	b := &bench{}
	b.aim("met", 2, 0.5, 4)
	b.aim("missed", 3, 0.5, 4)
	b.aim("not measured", 0, 1, 4)
	b.aim("nothing to compare with", 3, 1, 0)
	var w strings.Builder
	b.judge(&w)
	got := w.String()
	if !strings.Contains(got, "| met | 0.50 × | 0.50 × | yes |\n") || !strings.Contains(got, "| missed | 0.75 × | 0.50 × | **no** |\n") || strings.Contains(got, "not") {
		t.Error(got)
	}
}

func TestProcessorTime(t *testing.T) {
	const stat = `7 (a) b (c)) S 1 7 7 0 -1 4194560 0 0 0 0 1 2 30 40 20 0 1 0 5 6 7`
	if got := reaped(stat); got != 700*time.Millisecond {
		t.Errorf("children of a process: %v", got)
	}
	if got := reaped("7 (a) S 1"); got != 0 {
		t.Errorf("of a line that is too short: %v", got)
	}
	// What a child of a child has spent is counted once that has been waited for, and while it lives.
	before := spent(os.Getpid())
	cmd := exec.Command("sh", "-c", `sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; kill -STOP $$`)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for deadline := time.Now().Add(time.Minute); len(proc.Children(cmd.Process.Pid)) > 0 || spent(cmd.Process.Pid) < 50*time.Millisecond; {
		if time.Now().After(deadline) {
			t.Fatalf("spent %v", spent(cmd.Process.Pid))
		}
	}
	if mine := spent(os.Getpid()) - before; mine < spent(cmd.Process.Pid) {
		t.Errorf("%v with descendants, less than these alone", mine)
	}
}

func TestMemory(t *testing.T) {
	const smaps = "55d0-7ffc ---p 00000000 00:00 0 [rollup]\nRss:  900 kB\nPss:  20 kB\nPss_Dirty: 10 kB\n"
	if got := pss(smaps); got != 20*1024 {
		t.Errorf("PSS %v", got)
	}
	if got := pss(""); got != 0 {
		t.Errorf("PSS of nothing: %v", got)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if own, _ := memory(exe, os.Getpid()); own < 1<<20 {
		t.Errorf("this process takes %v bytes", own)
	}
}

func TestPlot(t *testing.T) {
	for name, r := range map[string]*result{
		"none":    {title: "none"},
		"zero":    {title: "zero", lines: []*line{{name: "a", samples: samples{0}}}},
		"one":     {title: "one", lines: []*line{{name: "a", samples: samples{1}}}},
		"failed":  {title: "failed", lines: []*line{{name: "a", failures: 1}, {name: "b", samples: samples{3}}}},
		"escaped": {title: `<&">`, lines: []*line{{name: "<a> & 'b'", samples: samples{0.001, 1e9}}, {name: "filewatch", samples: samples{0, 5}}}},
	} {
		t.Run(name, func(t *testing.T) {
			text := plot(r)
			for d := xml.NewDecoder(strings.NewReader(text)); ; {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
			}
			if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
				t.Errorf("no numbers:\n%s", text)
			}
			if n := strings.Count(text, "<rect"); n != len(r.lines) {
				t.Errorf("%d bars for %d lines", n, len(r.lines))
			}
		})
	}
}

func TestShape(t *testing.T) {
	h := shape{2, 3, 4}
	s := &scope{ctx: t.Context()}
	root := t.TempDir()
	h.make(s, root)
	all := s.snapshot(root)
	if len(all) != 1+2+6+24 {
		t.Errorf("%d entries", len(all))
	}
	seen := map[string]bool{}
	for i := range h.total() {
		if e, ok := all[h.some(i)]; !ok || !e.mtime.Equal(old) {
			t.Errorf("%s: %+v", h.some(i), e)
		}
		seen[h.some(i)] = true
	}
	if len(seen) != h.total() {
		t.Errorf("%d different files of %d", len(seen), h.total())
	}
	if wrong := differing(all, s.snapshot(root)); len(wrong) > 0 {
		t.Errorf("differs from itself: %q", wrong)
	}
	// New content of the same size and age is no difference, as to rsync; all else is.
	for _, change := range []func(path string) error{
		func(path string) error { return os.WriteFile(path, []byte("x"), 0o644) },
		func(path string) error { return os.Chmod(path, 0o600) },
		os.Remove,
		func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		before := s.snapshot(root)
		if err := change(filepath.Join(root, h.some(0))); err != nil {
			t.Fatal(err)
		}
		if got := differing(before, s.snapshot(root)); len(got) != 1 || got[0] != h.some(0) {
			t.Errorf("differing: %q", got)
		}
	}
}

func TestVerify(t *testing.T) {
	s := &scope{ctx: t.Context()}
	for name, change := range map[string]func(dir string) error{
		"":            func(string) error { return nil },
		"gone":        func(dir string) error { return os.Remove(filepath.Join(dir, "a")) },
		"left over":   func(dir string) error { return os.WriteFile(filepath.Join(dir, "c"), nil, 0o644) },
		"mode":        func(dir string) error { return os.Chmod(filepath.Join(dir, "a"), 0o600) },
		"old content": func(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), []byte("B"), 0o644) },
	} {
		dir := t.TempDir()
		p := place{source: filepath.Join(dir, "s"), destination: filepath.Join(dir, "d")}
		for _, root := range []string{p.source, p.destination} {
			if err := errors.Join(os.MkdirAll(root, 0o755), os.WriteFile(filepath.Join(root, "a"), []byte("A"), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		if err := change(p.destination); err != nil {
			t.Fatal(err)
		}
		if err := s.try(func() { s.verify(p) }); (err == nil) != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
