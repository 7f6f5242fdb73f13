package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/run"
)

// inotifywait is `inotifywait -mr`.
type inotifywait struct {
	*run.Process
	root  string
	ready time.Duration
	laid  int
	seen  atomic.Int64 // the last marker that it told of
}

// marker is what a file is called that is made to see that everything before has been told.
const marker = "marker-"

// startInotifywait is a watcher. For the events that the plugins watch, too.
func startInotifywait(ctx context.Context, root string, r *record) (watching, error) {
	w := &inotifywait{root: root}
	stdout := lines(func(line string) {
		names, path, _ := strings.Cut(line, " ")
		if path, ok := strings.CutPrefix(path, root+"/"); ok {
			w.told(names, path, r)
		}
	})
	stderr := lines(func(line string) {
		if strings.HasPrefix(line, "Watches established") {
			r.Ready()
		}
	})
	began := time.Now()
	p, err := run.Start(ctx, run.Command{
		Path:   "inotifywait",
		Args:   []string{"-mr", "-e", "modify,close_write,attrib,create,delete,move", "--format", "%e %w%f", root},
		Stdout: stdout.split(), Stderr: stderr.split(),
	})
	if err != nil {
		return nil, err
	}
	w.Process = p
	select {
	case <-r.ready:
		w.ready = time.Since(began)
		return w, nil
	case <-p.Done():
		return nil, w.ended()
	}
}

// told takes note of a line. One that tells that a directory has come counts for all that is in it by then:
// who reads it could look.
func (w *inotifywait) told(names, path string, r *record) {
	if rest, ok := strings.CutPrefix(path, marker); ok {
		var n int64
		_, _ = fmt.Sscan(rest, &n)
		w.seen.Store(n)
		return
	}
	c := sdk.Change{Path: path}
	if strings.Contains(names, "ISDIR") && (strings.Contains(names, "CREATE") || strings.Contains(names, "MOVED_TO")) {
		c.Scope = sdk.ScopeSubtree
	}
	r.Change(c)
}

func (w *inotifywait) times() (started, ready time.Duration) { return 0, w.ready }

func (w *inotifywait) settle() error {
	for last := (time.Time{}); ; time.Sleep(time.Millisecond) {
		if time.Since(last) > time.Second { // another one, for the event may have been lost
			last = time.Now()
			w.laid++
			path := filepath.Join(w.root, fmt.Sprint(marker, w.laid))
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				return err
			}
			if err := os.Remove(path); err != nil {
				return err
			}
		}
		select {
		case <-w.Done():
			return w.ended()
		default:
		}
		if w.seen.Load() == int64(w.laid) {
			return nil
		}
	}
}

func (w *inotifywait) stop() {
	w.Stop()
	w.Wait()
}

func (w *inotifywait) ended() error {
	exit := w.Wait()
	return fmt.Errorf("inotifywait: %v: %s", exit, exit.Stderr)
}
