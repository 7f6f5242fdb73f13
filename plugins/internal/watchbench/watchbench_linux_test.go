package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/filewatch/filewatch/plugins/fanotify"
	"github.com/filewatch/filewatch/plugins/inotify"
	"github.com/filewatch/filewatch/plugins/poll"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
)

// The test is the filewatch program, too. Whatever that is asked, it must not be the tests that run then.
func TestMain(m *testing.M) {
	proc.EndAtOnce()
	plugins := map[string]func() sdk.Plugin{"inotify": inotify.Plugin, "fanotify": fanotify.Plugin, "poll": poll.Plugin}
	switch {
	case len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-test."):
		os.Exit(m.Run())
	case len(os.Args) == 3 && os.Args[1] == "plugin" && plugins[os.Args[2]] != nil:
		sdk.Serve(plugins[os.Args[2]]())
	case len(os.Args) == 2 && os.Args[1] == "version":
		fmt.Println("filewatch test")
	default:
		os.Exit(2)
	}
}

func quickOptions(t *testing.T) options {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := quick
	o.filewatch, o.dir = exe, t.TempDir()
	return o
}

// wantNothingLeft checks that nothing of a run is left.
func wantNothingLeft(t *testing.T, o options) {
	t.Helper()
	if left, err := os.ReadDir(o.dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if children := proc.Children(os.Getpid()); len(children) > 0 {
		t.Errorf("a process is left: %s", proc.Cmdline(children[0]))
	}
}

func TestQuick(t *testing.T) {
	o := quickOptions(t)
	var out, progress bytes.Buffer
	if err := bench(t.Context(), o, &out, &progress); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &out, &progress)
	}
	t.Logf("\n%s", &out)
	wantNothingLeft(t, o)
	for _, line := range append(watcherFigures, passTime, passCPU, entryMemory) {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(line) + `  .*[0-9]`).MatchString(out.String()) {
			t.Errorf("no figures: %s", line)
		}
	}
	if strings.Contains(out.String(), "MISSED   100 directories: changes") {
		t.Error("changes were missed")
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
	for _, at := range []string{"making", ": inotify\n", "fanotify", "inotifywait", "pass 1"} {
		t.Run(at, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := quickOptions(t)
			o.passes = 1 << 30 // it does not end by itself
			if err := bench(ctx, o, io.Discard, interrupter{at, cancel}); err == nil || err.Error() != "interrupted" {
				t.Errorf("bench: %v, want that it was interrupted", err)
			}
			wantNothingLeft(t, o)
		})
	}
}

func TestNoPlugin(t *testing.T) {
	o := quickOptions(t)
	o.filewatch = "/bin/false"
	if err := bench(t.Context(), o, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "plugin inotify: exit status 1") {
		t.Errorf("bench: %v, want how the plugin ended", err)
	}
	wantNothingLeft(t, o)
}

func TestMissed(t *testing.T) {
	r := newRecord()
	before := time.Now()
	r.Change(sdk.Change{Path: "told"})
	r.Change(sdk.Change{Path: "d", Scope: sdk.ScopeSubtree})
	after := time.Now().Add(time.Nanosecond)
	for _, test := range []struct {
		change
		want int
	}{
		{change{"told", before}, 0},
		{change{"told", after}, 1},
		{change{"told/below", before}, 1},
		{change{"d", before}, 0},
		{change{"d/e/f", before}, 0},
		{change{"d/e/f", after}, 1},
		{change{"dd", before}, 1},
		{change{"other", before}, 1},
	} {
		if got := r.missed([]change{test.change}); got != test.want {
			t.Errorf("%+v: %d missed, want %d", test.change, got, test.want)
		}
	}
	r.Change(sdk.Change{Scope: sdk.ScopeSubtree})
	if got := r.missed([]change{{"other", before}}); got != 0 || r.whole != 1 {
		t.Errorf("%d missed of a tree that is in doubt %d times", got, r.whole)
	}
}

func TestSamples(t *testing.T) {
	for _, test := range []struct {
		samples
		want string
	}{
		{nil, "-"},
		{samples{0}, "0"},
		{samples{1.234}, "1.23"},
		{samples{300, 12.34, 20}, "20.0 (12.3–300)"},
		{samples{4, 1, 2, 3}, "2.50 (1.00–4.00)"},
	} {
		if got := test.String(); got != test.want {
			t.Errorf("%v: %s, want %s", []float64(test.samples), got, test.want)
		}
	}
}

func TestLines(t *testing.T) {
	var got []string
	w := lines(func(line string) { got = append(got, line) }).split()
	for _, part := range []string{"a", "b\nc\n", "", "\nd", "e"} {
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
	}
	if s := strings.Join(got, "|"); s != "ab|c|" {
		t.Errorf("lines %q", s)
	}
}
