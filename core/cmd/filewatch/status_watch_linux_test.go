package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/core/internal/status"
)

// watching is a running filewatch status -watch.
type watching struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of standard output; closed at its end
	errs  chan string // of standard error
}

// startWatch runs filewatch status -watch until the end of the test. What it prints is read unless it goes
// to output.
func startWatch(t *testing.T, output *os.File, args ...string) *watching {
	t.Helper()
	w := &watching{t: t, lines: make(chan string, 1000), errs: make(chan string, 1000)}
	w.cmd = exec.Command("filewatch", append([]string{"status", "-watch"}, args...)...)
	var wg sync.WaitGroup
	read := func(from io.Reader, err error, into chan<- string) {
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer close(into)
			for lines := bufio.NewScanner(from); lines.Scan(); {
				into <- lines.Text()
			}
		})
	}
	if output != nil {
		w.cmd.Stdout = output
	} else {
		stdout, err := w.cmd.StdoutPipe()
		read(stdout, err, w.lines)
	}
	stderr, err := w.cmd.StderrPipe()
	read(stderr, err, w.errs)
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		wg.Wait()
		_ = w.cmd.Wait()
	})
	return w
}

// ends waits for the end and returns how that was.
func (w *watching) ends() error {
	w.t.Helper()
	ended := make(chan error, 1)
	go func() {
		state, err := w.cmd.Process.Wait()
		if err == nil && !state.Success() {
			err = fmt.Errorf("%v", state)
		}
		ended <- err
	}()
	return within(w.t, "its end", ended)
}

// within returns what comes from a channel in time.
func within[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-from:
		if !ok {
			t.Fatalf("it ended before %s came", what)
		}
		return v
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
		panic("unreachable")
	}
}

func TestStatusWatchPrintsChanges(t *testing.T) {
	o := &operated{}
	config, stateDir := stateConfig(t, "")
	server := serve(t, stateDir, o)
	w := startWatch(t, nil, "-json", "site", "-config", config)
	pending := func() int {
		t.Helper()
		var report status.Report
		line := within(t, "a line", w.lines)
		if err := json.Unmarshal([]byte(line), &report); err != nil || len(report.Syncs) != 1 {
			t.Fatalf("%v: %s", err, line)
		}
		return report.Syncs[0].Destinations[1].Pending
	}
	if n := pending(); n != 0 {
		t.Fatal(n)
	}
	// Nothing more is printed until something is different.
	asked := o.timesAsked()
	eventually(t, "it has asked again", func() bool { return o.timesAsked() >= asked+2 })
	o.setPending(14)
	if n := pending(); n != 14 {
		t.Fatal(n)
	}
	// A daemon that is started again is found again.
	server.Close()
	if line := within(t, "an error", w.errs); line != "filewatch status: no filewatch runs with the state directory "+stateDir {
		t.Error(line)
	}
	o.setPending(15)
	serve(t, stateDir, o)
	if n := pending(); n != 15 {
		t.Fatal(n)
	}
	_ = w.cmd.Process.Signal(syscall.SIGINT)
	if err := w.ends(); err != nil {
		t.Error(err)
	}
}

// TestStatusWatchEndsWithItsReader though it has nothing to write.
func TestStatusWatchEndsWithItsReader(t *testing.T) {
	config := operate(t, &operated{})
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w := startWatch(t, out, "-config", config)
	_ = out.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); !strings.HasPrefix(line, "filewatch v1 (pid ") {
		t.Fatal(line, err)
	}
	_ = r.Close()
	if err := w.ends(); err != nil {
		t.Error(err)
	}
}

// terminal returns both ends of a terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	open := func(name string) *os.File {
		f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	master = open("/dev/ptmx")
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return master, open(fmt.Sprintf("/dev/pts/%d", n))
}

func resize(t *testing.T, terminal *os.File, columns, rows uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
}

// screens returns what a terminal shows, one after the other, as lines.
func screens(ctx context.Context, master io.Reader) <-chan []string {
	all := make(chan []string)
	go func() {
		defer close(all)
		r := bufio.NewReader(master)
		for screen := ""; ; {
			c, _, err := r.ReadRune()
			if err != nil {
				return
			}
			screen += string(c)
			// Each begins in the corner and ends with the rest cleared; so does each line.
			body, ok := strings.CutSuffix(screen, "\x1b[J")
			if !ok {
				continue
			}
			select {
			case all <- strings.Split(strings.TrimPrefix(body, "\x1b[H"), "\x1b[K\r\n"):
			case <-ctx.Done():
				return
			}
			screen = ""
		}
	}()
	return all
}

func TestStatusWatchOnTerminal(t *testing.T) {
	o := &operated{}
	config := operate(t, o)
	master, slave := terminal(t)
	resize(t, master, 40, 8)
	w := startWatch(t, slave, "-config", config)
	_ = slave.Close()
	all := screens(t.Context(), master)
	screen := func() []string {
		t.Helper()
		lines := within(t, "a screen", all)
		for _, line := range lines {
			if len([]rune(line)) > 40 || strings.ContainsAny(line, "\x1b\r\n") {
				t.Fatalf("%q does not fit", line)
			}
		}
		return lines
	}
	// What does not fit is counted; the last line stays empty, so that nothing scrolls.
	if lines := screen(); len(lines) != 8 || lines[6] != "… +12 lines" || lines[7] != "" {
		t.Errorf("%q", lines)
	}
	o.setPending(7)
	resize(t, master, 40, 40)
	eventually(t, "everything is shown", func() bool {
		lines := screen()
		return slices.Contains(lines, "      7 pending, nothing confirmed yet,") && slices.Contains(lines, "docs  /d")
	})
	_ = w.cmd.Process.Signal(syscall.SIGINT)
	if err := w.ends(); err != nil {
		t.Error(err)
	}
}

// TestStatusOnNarrowTerminal: without -watch lines are broken and nothing is left out.
func TestStatusOnNarrowTerminal(t *testing.T) {
	config := operate(t, &operated{})
	master, slave := terminal(t)
	resize(t, master, 40, 5)
	cmd := exec.Command("filewatch", "status", "docs", "-config", config)
	cmd.Stdout = slave
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	got, _ := io.ReadAll(master) // ends with an error, for the other end is closed
	want := fmt.Sprintf(`filewatch v1 (pid %d), up 0s

docs  /d
  watcher: none, does not see every
    change yet
  in sync      h1:/d
      nothing confirmed yet, not
        compared yet
`, os.Getpid())
	if diff := cmp.Diff(want, strings.ReplaceAll(string(got), "\r\n", "\n")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
