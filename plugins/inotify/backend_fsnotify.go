package inotify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

const (
	// portableLimit is how many events wait to be acted on; past it they count as lost.
	portableLimit = 1 << 18
	// portableQuiet is how long nothing may happen before directories that appeared are watched anew:
	// fsnotify may have dropped their watches, or kept them under former paths, when they were renamed.
	portableQuiet = 200 * time.Millisecond
	// portableCheck is how often the root is looked at and what could not be watched is tried again.
	portableCheck = 10 * time.Second
)

// portable watches one root with fsnotify.
type portable struct {
	ctx      context.Context
	root     string
	exclude  *filter.Filter
	reporter sdk.Reporter
	fs       *fsnotify.Watcher
	ready    chan struct{} // capacity 1: there may be events to take

	mu     sync.Mutex // guards all below
	events []fsnotify.Event
	lost   bool

	dirs   map[string]struct{} // watched, by absolute path
	again  map[string]struct{} // to be watched anew when it is quiet
	failed map[string]error    // not watched, by relative path
	sent   []string            // of failed, as reported
}

// watchFsnotify is the backend for systems other than Linux. It cannot prove anything: what fsnotify
// hands on is not in order everywhere.
func watchFsnotify(ctx context.Context, root string, exclude *filter.Filter, _ <-chan sdk.Barrier, r sdk.Reporter) error {
	info, err := os.Stat(root)
	if err == nil && !info.IsDir() {
		err = errors.New("it is not a directory")
	}
	if err != nil {
		return sdk.RootLost(fmt.Errorf("watch %s: %w", root, err))
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("start fsnotify: %w", err)
	}
	p := &portable{
		ctx: ctx, root: filepath.Clean(root), exclude: exclude, reporter: r, fs: watcher,
		ready:  make(chan struct{}, 1),
		dirs:   make(map[string]struct{}),
		again:  make(map[string]struct{}),
		failed: make(map[string]error),
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer watcher.Close()
	wg.Go(p.readEvents)
	wg.Go(p.readErrors)
	p.add(p.root)
	if err := p.failed[""]; err != nil {
		return fmt.Errorf("watch %s: %w", root, err)
	}
	r.Ready()
	return p.run(info)
}

// readEvents does nothing but take events off fsnotify, which waits for nobody else.
func (p *portable) readEvents() {
	for e := range p.fs.Events {
		p.mu.Lock()
		if len(p.events) < portableLimit {
			p.events = append(p.events, e)
		} else {
			p.lost = true
		}
		p.mu.Unlock()
		p.signal()
	}
}

// readErrors runs on its own: fsnotify sends errors with its lock held, which adding a watch needs.
func (p *portable) readErrors() {
	for range p.fs.Errors {
		p.mu.Lock()
		p.lost = true
		p.mu.Unlock()
		p.signal()
	}
}

func (p *portable) signal() {
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

func (p *portable) run(root fs.FileInfo) error {
	check := time.NewTicker(portableCheck)
	defer check.Stop()
	var quiet <-chan time.Time
	for {
		p.sendUnwatched()
		select {
		case <-p.ctx.Done():
			return nil
		case <-p.ready:
			p.drain()
			quiet = time.After(portableQuiet)
		case <-quiet:
			quiet = nil
			p.renew(slices.Collect(maps.Keys(p.again)))
		case <-check.C:
			p.renew(p.sent)
		}
		if now, err := os.Stat(p.root); err != nil || !os.SameFile(now, root) {
			return sdk.RootLost(fmt.Errorf("%s: the directory was removed, moved away or replaced", p.root))
		}
	}
}

func (p *portable) drain() {
	p.mu.Lock()
	events, lost := p.events, p.lost
	p.events, p.lost = nil, false
	p.mu.Unlock()
	for _, e := range events {
		p.handle(e)
	}
	if lost {
		p.renew([]string{""})
	}
}

func (p *portable) handle(e fsnotify.Event) {
	path, ok := p.relative(e.Name)
	if !ok {
		return
	}
	info, err := os.Lstat(e.Name)
	dir := err == nil && info.IsDir()
	if _, known := p.dirs[e.Name]; e.Has(fsnotify.Rename|fsnotify.Remove) && known {
		dir = true
		p.remove(e.Name)
		if err == nil {
			p.again[path] = struct{}{} // something else is there already
		}
	}
	if p.exclude.Excluded(path, dir) {
		if e.Has(fsnotify.Create | fsnotify.Remove | fsnotify.Rename) {
			p.reporter.Change(sdk.Change{Path: relpath.Parent(path), Ops: sdk.OpAttrib}) // its modification time
		}
		return
	}
	c := sdk.Change{Path: path}
	for _, o := range [...]struct {
		from fsnotify.Op
		to   sdk.Op
	}{
		{fsnotify.Create, sdk.OpCreate},
		{fsnotify.Write, sdk.OpWrite},
		{fsnotify.Remove, sdk.OpRemove},
		{fsnotify.Rename, sdk.OpRemove | sdk.OpRename},
		{fsnotify.Chmod, sdk.OpAttrib},
	} {
		if e.Has(o.from) {
			c.Ops |= o.to
		}
	}
	if dir && e.Has(fsnotify.Create) {
		p.remove(e.Name)
		p.add(e.Name)
		p.again[path] = struct{}{}
		c.Scope = sdk.ScopeSubtree
		c.Ops |= sdk.OpClose
	}
	p.reporter.Change(c)
}

// renew watches the subtrees at the relative paths anew and reports them.
func (p *portable) renew(paths []string) {
	for _, path := range paths {
		delete(p.again, path)
		abs := filepath.Join(p.root, filepath.FromSlash(path))
		p.remove(abs)
		if info, err := os.Lstat(abs); err == nil && (path == "" || info.IsDir()) {
			p.add(abs)
		}
		p.reporter.Change(sdk.Change{Path: path, Scope: sdk.ScopeSubtree})
	}
}

// add watches dir and all directories below it.
func (p *portable) add(dir string) {
	path, ok := p.relative(dir)
	if !ok || p.ctx.Err() != nil || p.exclude.Excluded(path, true) {
		return
	}
	err := p.fs.Add(dir)
	var entries []os.DirEntry
	if err == nil {
		p.dirs[dir] = struct{}{}
		entries, err = os.ReadDir(dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.failed[path] = err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			p.add(filepath.Join(dir, entry.Name()))
		}
	}
}

// remove stops watching dir and all below it. It must come before a directory that was renamed is
// watched again: the old name would be kept, or the watch lost.
func (p *portable) remove(dir string) {
	below := dir + string(filepath.Separator)
	for d := range p.dirs {
		if d == dir || strings.HasPrefix(d, below) {
			_ = p.fs.Remove(d) // it may have gone by itself
			delete(p.dirs, d)
		}
	}
	path, _ := p.relative(dir)
	for f := range p.failed {
		if (sdk.Change{Path: path, Scope: sdk.ScopeSubtree}).Covers(f) {
			delete(p.failed, f)
		}
	}
}

// relative returns the path below the root.
func (p *portable) relative(abs string) (string, bool) {
	if abs == p.root {
		return "", true
	}
	rel, ok := strings.CutPrefix(abs, strings.TrimSuffix(p.root, string(filepath.Separator))+string(filepath.Separator))
	return filepath.ToSlash(rel), ok
}

func (p *portable) sendUnwatched() {
	paths := relpath.Topmost(slices.Collect(maps.Keys(p.failed)))
	if slices.Equal(paths, p.sent) {
		return
	}
	p.sent = paths
	var reasons []string
	for _, path := range paths {
		if text := p.failed[path].Error(); !slices.Contains(reasons, text) && len(reasons) < 3 {
			reasons = append(reasons, text)
		}
	}
	p.reporter.Unwatched(relpath.Fewer(paths, relpath.MaxUnwatched), strings.Join(reasons, "; "))
}
