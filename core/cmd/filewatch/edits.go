package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/config"
)

const (
	// editQuiet is how long nothing must happen before an edited configuration is read: an editor takes
	// several steps, one may be to truncate the file, and several files belong together.
	editQuiet = 500 * time.Millisecond
	// editMax is how long that may take at most, where others write beside the configuration all the time.
	editMax = 5 * time.Second
)

// watchEdits tells on edited, until ctx ends, that the configuration is no longer what was seen.
//
// Not the files are watched but their directories: editors, configuration management and containers put
// another file, or another link, in their place, which a watch of the file would not follow. An event there
// means no more than that something may have changed; what counts is what would be read.
func watchEdits(ctx context.Context, paths []string, seen config.Checksum, edited chan<- struct{}, logger hclog.Logger) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		logger.Warn("edits of the configuration are not noticed: SIGHUP has it read", "err", err)
		return
	}
	defer watcher.Close()
	e := &edits{paths: paths, seen: seen, edited: edited, watcher: watcher, logger: logger}
	e.look()
	var quiet <-chan time.Time
	var latest time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-quiet:
			quiet = nil
			e.look()
			continue
		case <-watcher.Events:
		case <-watcher.Errors: // as when there were too many of them
		}
		if quiet == nil {
			latest = time.Now().Add(editMax)
		}
		quiet = time.After(min(editQuiet, time.Until(latest)))
	}
}

// edits is the work of watchEdits.
type edits struct {
	paths   []string
	seen    config.Checksum
	edited  chan<- struct{} // capacity 1
	watcher *fsnotify.Watcher
	logger  hclog.Logger
	trouble string // that was logged
}

// look watches what is to be watched now and tells if the configuration is not what was seen before. In this
// order nothing comes between.
func (e *edits) look() {
	trouble := ""
	// All anew: a directory may have been replaced by another one of its name.
	for _, dir := range e.watcher.WatchList() {
		_ = e.watcher.Remove(dir) // fails when the directory is gone, and the watch with it
	}
	for _, path := range e.paths {
		for _, dir := range whereabouts(path) {
			if err := e.watch(dir); err != nil {
				trouble = err.Error()
			}
		}
	}
	if trouble != e.trouble && trouble != "" {
		e.logger.Warn("not all edits of the configuration are noticed: SIGHUP has it read", "err", trouble)
	}
	e.trouble = trouble
	now := config.Sum(e.paths)
	if now == e.seen {
		return
	}
	e.seen = now
	select {
	case e.edited <- struct{}{}:
	default: // it has not been read since the last one
	}
}

// watch watches a directory, or as long as it is not there the one in which it is missing.
func (e *edits) watch(dir string) error {
	for {
		err := e.watcher.Add(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return err
		}
		dir = filepath.Dir(dir)
	}
}

// maxLinks is how many symbolic links the kernel follows in a path (path_resolution(7)).
const maxLinks = 40

// whereabouts returns the directories in which something happens when path comes to mean something else: that
// of each symbolic link on the way, that of what it leads to, and the latter itself if it is a directory.
func whereabouts(path string) (dirs []string) {
	rest := path
	if !filepath.IsAbs(path) {
		dir, err := os.Getwd()
		if err != nil {
			return []string{filepath.Dir(path)}
		}
		rest = dir + "/" + path
	}
	at := "/"
	for links := 0; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		target, err := os.Readlink(filepath.Join(at, name))
		if err != nil || links == maxLinks {
			at = filepath.Join(at, name)
			continue
		}
		links++
		dirs = append(dirs, at)
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = target + "/" + rest
	}
	if info, err := os.Stat(at); err == nil && info.IsDir() {
		dirs = append(dirs, at)
	}
	return append(dirs, filepath.Dir(at))
}
