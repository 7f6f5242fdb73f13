package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
)

// numbered are files that several write at the same time, each with a name that never comes back.
type numbered struct {
	t   *testing.T
	dir string

	mu   sync.Mutex
	next int
	live map[string]string // their contents, once they are there
	gone map[string]bool   // from before they are removed
	done map[string]bool   // once they are
}

// step creates a file, appends to one, or renames one, and removes one when there are many.
func (n *numbered) step() {
	n.mu.Lock()
	n.next++
	serial := n.next
	n.mu.Unlock()
	name := fmt.Sprintf("dir-%d/%d", serial%7, serial)
	text := strings.Repeat(name+"\n", 1+serial%50)
	n.write(name, text)
	n.mu.Lock()
	n.live[name] = text
	var victim, renamed string
	if len(n.live) > 200 {
		for victim = range n.live {
			break
		}
		n.gone[victim] = true
		if serial%2 == 0 {
			renamed = n.live[victim]
		}
		delete(n.live, victim)
	}
	n.mu.Unlock()
	if victim == "" {
		return
	}
	from := filepath.Join(n.dir, victim)
	to := victim + "-renamed"
	if err := os.Rename(from, filepath.Join(n.dir, to)); err != nil {
		n.t.Error(err)
	}
	if renamed == "" {
		if err := os.Remove(filepath.Join(n.dir, to)); err != nil {
			n.t.Error(err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.done[victim] = true
	if renamed != "" {
		n.live[to] = renamed
	}
}

func (n *numbered) write(name, text string) {
	file := filepath.Join(n.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		n.t.Error(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		n.t.Error(err)
	}
}

// now returns the files that are there, and those that are gone for good.
func (n *numbered) now() (live map[string]string, gone map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.live), maps.Clone(n.done)
}

// arrived checks that all that was so some time ago is so at the destination.
func (n *numbered) arrived(destination string, live map[string]string, gone map[string]bool) {
	for name, text := range live {
		got, err := os.ReadFile(filepath.Join(destination, name))
		if err == nil && string(got) == text {
			continue
		}
		n.mu.Lock()
		since := n.gone[name]
		n.mu.Unlock()
		if !since {
			n.t.Errorf("%s was there before, and flush is done: %.40q, %v", name, got, err)
		}
	}
	for name := range gone {
		if _, err := os.Lstat(filepath.Join(destination, name)); err == nil {
			n.t.Errorf("%s was gone before, and flush is done", name)
		}
	}
}

// When flush returns 0, everything that was changed before is at the destination: a hundred times, while
// others write on and plugins are killed.
func TestFlushUnderLoad(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	d := startDaemon(t, localSync("s", source, destination, churns))
	d.flushed(t)
	n := &numbered{t: t, dir: source, live: map[string]string{}, gone: map[string]bool{}, done: map[string]bool{}}
	stop := make(chan struct{})
	var writers, flushers sync.WaitGroup
	for range 2 {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond): // as fast as an operator's programs, not as they can
					n.step()
				}
			}
		})
	}
	var mu sync.Mutex
	good, bad := 0, 0
	deadline := time.Now().Add(patience)
	for range 8 {
		flushers.Go(func() {
			for time.Now().Before(deadline) && !t.Failed() {
				n.step()
				live, gone := n.now()
				exit, _, stderr := d.command("flush")
				mu.Lock()
				switch exit {
				case 0:
					good++
				case 1: // for a plugin was killed
					bad++
				default:
					t.Errorf("flush: exit status %d: %s", exit, stderr)
				}
				enough := good >= 100
				kill := good%25 == 12 && exit == 0
				name := []string{"rsync", "inotify"}[good/25%2]
				mu.Unlock()
				if exit == 0 {
					n.arrived(destination, live, gone)
				}
				if pid := d.plugin(name); kill && pid != 0 {
					t.Log("killing", name)
					_ = proc.Kill(pid, syscall.SIGKILL)
				}
				if exit == 1 {
					d.command("resume", "s") // rather than wait for the next try
				}
				if enough {
					return
				}
			}
		})
	}
	flushers.Wait()
	close(stop)
	writers.Wait()
	t.Logf("%d files were written; flush succeeded %d times and failed %d times", n.next, good, bad)
	if good < 100 {
		t.Errorf("in %v flush succeeded only %d times", patience, good)
	}
	d.flushed(t)
	same(t, source, destination)
}
