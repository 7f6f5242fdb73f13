package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/control"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
)

// started is in the future, so that it is 0 s ago.
var started = time.Now().Add(time.Hour)

// operated is a daemon for the commands of operators. It has the syncs "site", with two destinations, and
// "docs".
type operated struct {
	mu      sync.Mutex
	asked   int    // how often for the status
	pending int    // at the second destination of site
	did     string // last

	flush  func(context.Context) error
	err    error // of all but Status and Flush
	differ []sdk.Difference
}

func (o *operated) Status() status.Report {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	now := time.Now()
	second := status.Destination{Destination: "h2:/s", State: status.InSync}
	if o.pending > 0 {
		second.State, second.Pending = status.Sending, o.pending
	}
	return status.Report{Version: "v1", PID: os.Getpid(), Started: started, Now: now, Syncs: []status.Sync{
		{Name: "site", Source: "/s", Destinations: []status.Destination{{Destination: "h1:/s", State: status.InSync}, second}},
		{Name: "docs", Source: "/d", Destinations: []status.Destination{{Destination: "h1:/d", State: status.InSync}}},
	}}
}

func (o *operated) timesAsked() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

func (o *operated) setPending(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = n
}

func (o *operated) do(what, name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if name != "site" && name != "docs" {
		return errors.New("unknown")
	}
	o.did = what + " " + name
	return o.err
}

func (o *operated) Flush(ctx context.Context, name string) error {
	if err := o.do("flush", cmp.Or(name, "site")); err != nil {
		return err
	}
	return o.flush(ctx)
}
func (o *operated) Pause(name string) error  { return o.do("pause", name) }
func (o *operated) Resume(name string) error { return o.do("resume", name) }
func (o *operated) Resync(name string) error { return o.do("resync", name) }
func (o *operated) Approve(name string) ([]string, error) {
	return []string{"3 deletions at h1:/s"}, o.do("approve", name)
}

func (o *operated) Verify(_ context.Context, name string, repair bool, found func(string, sdk.Difference)) error {
	for _, d := range o.differ {
		found("h2:/s", d)
		found("h2:/s", d)
	}
	return o.do(fmt.Sprintf("verify %v", repair), name)
}

// operate serves a daemon until the end of the test and returns the -config of the commands that ask it.
func operate(t *testing.T, o *operated) (config string) {
	t.Helper()
	config, stateDir := stateConfig(t, "")
	serve(t, stateDir, o)
	return config
}

// serve serves a daemon until the end of the test.
func serve(t *testing.T, stateDir string, o *operated) *control.Server {
	t.Helper()
	s, err := control.Start(control.Config{StateDir: stateDir, Daemon: o, Logger: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// stateConfig writes a configuration with a state directory of its own, and with more.
func stateConfig(t *testing.T, more string) (config, stateDir string) {
	t.Helper()
	dir := t.TempDir()
	config, stateDir = filepath.Join(dir, "sync.hcl"), filepath.Join(dir, "state")
	writeFile(t, config, fmt.Sprintf("state_dir = %q\n", stateDir)+more)
	return config, stateDir
}

func writeFile(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// call runs a command.
func call(args ...string) (exit int, stdout, stderr string) {
	var out, errs bytes.Buffer
	exit = run(&environment{strings.NewReader(""), &out, &errs}, args)
	return exit, out.String(), errs.String()
}

// expect runs a command and compares what comes of it. Of standard error a part is enough.
func expect(t *testing.T, exit int, stdout, stderr string, args ...string) {
	t.Helper()
	gotExit, gotOut, gotErr := call(args...)
	if gotExit != exit || gotOut != stdout || !strings.Contains(gotErr, stderr) || (gotErr == "") != (stderr == "") {
		t.Errorf("filewatch %s: exit status %d, want %d\nstandard output: %q, want %q\nstandard error: %q, want %q",
			strings.Join(args, " "), gotExit, exit, gotOut, stdout, gotErr, stderr)
	}
}

func TestStatusCommand(t *testing.T) {
	config := operate(t, &operated{pending: 3})
	const docs = `
docs  /d
  watcher: none, does not see every change yet
  in sync      h1:/d
      nothing confirmed yet, not compared yet
`
	head := fmt.Sprintf("filewatch v1 (pid %d), up 0s\n", os.Getpid())
	expect(t, exitOK, head+docs, "", "status", "docs", "-config", config)
	expect(t, exitOK, head+`
site  /s
  watcher: none, does not see every change yet
  in sync      h1:/s
      nothing confirmed yet, not compared yet
  sending      h2:/s
      3 pending, nothing confirmed yet, not compared yet
`+docs, "", "status", "-config", config)
	expect(t, exitUsage, "", `there is no sync "dosc"; did you mean "docs"? (there are: docs, site)`, "status", "-config", config, "dosc")
	expect(t, exitUsage, "", `no sync "\x1b[2J\n"`, "status", "-config", config, "\x1b[2J\n")
	expect(t, exitUsage, "", `unexpected argument "b"`, "status", "-config", config, "a", "b")
	expect(t, exitUsage, "", `name of the sync is empty`, "status", "-config", config, "")

	exit, stdout, stderr := call("status", "-json", "site", "-config", config)
	var report status.Report
	if err := json.Unmarshal([]byte(stdout), &report); exit != exitOK || err != nil || stderr != "" {
		t.Fatal(exit, err, stdout, stderr)
	}
	if len(report.Syncs) != 1 || report.Syncs[0].Destinations[1].State != status.Sending || report.StateDir == "" {
		t.Errorf("%+v", report)
	}
}

func TestNoDaemon(t *testing.T) {
	config, stateDir := stateConfig(t, "")
	operate(t, &operated{}) // with another state directory
	for _, command := range [][]string{{"status"}, {"status", "-watch"}, {"flush"}, {"pause", "a"}, {"resume", "a"}, {"resync", "a"}, {"approve", "a"}, {"verify", "a"}} {
		exit, stdout, stderr := call(append(command, "-config", config)...)
		if exit != exitFailed || stdout != "" {
			t.Errorf("%v: exit status %d, %q", command, exit, stdout)
		}
		for _, want := range []string{
			"filewatch " + command[0] + ": no filewatch runs with the state directory " + stateDir + "\n",
			fmt.Sprintf("(pid %d). To ask that: -config", os.Getpid()),
			"filewatch -config FILE starts one.\n",
		} {
			if !strings.Contains(stderr, want) {
				t.Errorf("%v: %q lacks %q", command, stderr, want)
			}
		}
	}
}

// TestBrokenConfiguration: a daemon is found by what is right of its configuration.
func TestBrokenConfiguration(t *testing.T) {
	for _, test := range []struct {
		name, more string
		args       []string
		want       string // "" = it is found
	}{
		{"no sync", "", nil, ""},
		{"a plugin that is not there", "sync \"a\" {\n  watcher \"nonesuch\" {}\n}\n", nil, ""},
		{"an unknown attribute", `nonesuch = 1`, nil, ""},
		{"an unknown variable", `log_level = var.nonesuch`, nil, ""},
		{"a syntax error", `sync "a" {`, nil, "errors above"},
		{"-var", ``, []string{"-var", "x"}, `"x" is not NAME=VALUE`},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, stateDir := stateConfig(t, test.more)
			serve(t, stateDir, &operated{flush: func(context.Context) error { return nil }})
			exit := exitOK
			if test.want != "" {
				exit = exitUsage
			}
			expect(t, exit, "", test.want, append([]string{"flush", "-config", config}, test.args...)...)
		})
	}
	// A state directory that depends on something wrong is not replaced by the usual one.
	for _, text := range []string{`state_dir = var.nonesuch`, "variable \"dir\" {}\nstate_dir = var.dir", `state_dir = 7 + "x"`} {
		config := filepath.Join(t.TempDir(), "sync.hcl")
		writeFile(t, config, text)
		expect(t, exitUsage, "", "which daemon is meant cannot be told", "flush", "-config", config)
	}
	expect(t, exitUsage, "", "which daemon is meant cannot be told", "flush", "-config", filepath.Join(t.TempDir(), "nonesuch.hcl"))
}

func TestStateDirFromVariable(t *testing.T) {
	config, stateDir := stateConfig(t, "")
	writeFile(t, config, fmt.Sprintf("variable \"dir\" {}\nstate_dir = var.dir\nsync \"a\" {\n source = %q\n destination = \"h:/a\"\n}\n", t.TempDir()))
	serve(t, stateDir, &operated{flush: func(context.Context) error { return nil }})
	expect(t, exitOK, "", "", "flush", "-config", config, "-var", "dir="+stateDir)
}

func TestFlushCommand(t *testing.T) {
	o := &operated{}
	config := operate(t, o)
	o.flush = func(context.Context) error { return nil }
	expect(t, exitOK, "", "", "flush", "-config", config)
	if o.did != "flush site" {
		t.Error(o.did)
	}
	expect(t, exitOK, "", "", "flush", "-config", config, "docs")
	if o.did != "flush docs" {
		t.Error(o.did)
	}
	o.flush = func(context.Context) error { return errors.New("docs: h1:/d is away: \x1b[2J\ndocs: h2:/d is held\n") }
	expect(t, exitFailed, "", `filewatch flush: docs: h1:/d is away: \x1b[2J`+"\nfilewatch flush: docs: h2:/d is held\n", "flush", "-config", config)
	o.flush = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	o.setPending(14)
	expect(t, exitFailed, "", "filewatch flush: not everything is confirmed after 20ms\nsite → h2:/s: sending, 14 pending\n", "flush", "-timeout", "20ms", "-config", config)
	expect(t, exitUsage, "", `there is no sync "nonesuch"`, "flush", "-config", config, "nonesuch")
	expect(t, exitUsage, "", "-timeout 0s is not above 0", "flush", "-timeout", "0", "-config", config)
}

func TestSteer(t *testing.T) {
	o := &operated{}
	config := operate(t, o)
	for _, test := range []struct{ command, stdout string }{
		{"pause", "site: paused until filewatch resume site\n"},
		{"resume", "site: resumed\n"},
		{"resync", "site: everything will be compared; filewatch status site tells how far that is\n"},
		{"approve", "site: approved: 3 deletions at h1:/s\n"},
	} {
		o.err = nil
		expect(t, exitOK, test.stdout, "", test.command, "-config", config, "site")
		if o.did != test.command+" site" {
			t.Error(o.did)
		}
		o.err = errors.New("nothing is held")
		expect(t, exitFailed, "", "filewatch "+test.command+": nothing is held\n", test.command, "site", "-config", config)
		expect(t, exitUsage, "", "name of a sync is missing", test.command, "-config", config)
		expect(t, exitUsage, "", "there is no sync", test.command, "-config", config, "sitee")
	}
}

func TestVerifyCommand(t *testing.T) {
	o := &operated{}
	config := operate(t, o)
	expect(t, exitOK, "", "site: no differences\n", "verify", "site", "-config", config)
	if o.did != "verify false site" {
		t.Error(o.did)
	}
	o.differ = []sdk.Difference{{Path: "a b", Kind: sdk.Missing}, {Path: "-\n#", Kind: sdk.Extra}, {Path: " x "}, {}}
	// Each is listed once, though it was found twice.
	const lines = "missing a b\nextra \"-\\n#\"\ndifferent \" x \"\ndifferent .\n"
	expect(t, exitFailed, lines, "docs: differences found: 4; filewatch verify docs -repair mends them\n", "verify", "docs", "-config", config)
	expect(t, exitOK, lines, "docs: differences found and mended: 4\n", "verify", "docs", "-repair", "-config", config)
	if o.did != "verify true docs" {
		t.Error(o.did)
	}
	// Of several destinations it says which.
	expect(t, exitFailed, "h2:/s: "+strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", "\nh2:/s: ")+"\n", "found: 4", "verify", "site", "-config", config)
	o.differ = o.differ[:2]
	expect(t, exitFailed, `{"destination":"h2:/s","kind":"missing","path":"a b"}`+"\n"+`{"destination":"h2:/s","kind":"extra","path":"\"-\\n#\""}`+"\n",
		"found: 2", "verify", "-json", "site", "-config", config)
	// What nobody could read was not told.
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"verify"}, {"verify", "-json"}, {"verify", "-repair"}} {
		var errs bytes.Buffer
		exit := run(&environment{strings.NewReader(""), full, &errs}, append(args, "-config", config, "site"))
		if exit != exitFailed || !strings.Contains(errs.String(), "print the differences: ") || strings.Contains(errs.String(), "mended") {
			t.Errorf("%q to a full disk: exit status %d: %s", args, exit, errs.String())
		}
	}
	// What could not be mended, or compared, is a failure with and without differences.
	o.err = errors.New("h2:/s is away")
	expect(t, exitFailed, "missing a b\nextra \"-\\n#\"\n", "filewatch verify: h2:/s is away\n", "verify", "-repair", "docs", "-config", config)
	o.differ = nil
	expect(t, exitFailed, "", "filewatch verify: h2:/s is away\n", "verify", "docs", "-config", config)
	expect(t, exitUsage, "", "name of a sync is missing", "verify", "-config", config)
}

var _ control.Daemon = (*operated)(nil)
