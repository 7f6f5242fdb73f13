package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/filewatch/filewatch/core/internal/answer"
	"github.com/filewatch/filewatch/core/internal/config"
)

// source is a sync's source, resolved.
type source struct {
	path string // absolute and clean, in the bytes it has on disk
	// contents tells that the contents go into the destination; else the directory itself does.
	contents bool
}

// base is the name that the directory itself has inside the destination.
func (s source) base() string { return filepath.Base(s.path) }

func (p *planner) source(cfg *config.Sync) source {
	at := cfg.Source.Range
	path, err := local(cfg.Dir, cfg.Source.V)
	if err != nil {
		p.errorf(at, "Invalid source", "The source cannot be used: %s.", err)
		return source{}
	}
	switch info, err := p.stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		p.warnf(at, "Source not found", "There is no directory %s. The sync waits until it is there.", printable(path))
	case err != nil:
		p.warnf(at, "Source not readable", "The source cannot be looked at: %s. The sync waits until it can.", err)
	case !info.IsDir():
		p.warnf(at, "Source not a directory", "%s is not a directory. The sync waits until it is one; to send a single file, name its directory and exclude the rest.", printable(path))
	}
	return source{path, path == "/" || meansContents(cfg.Source.V)}
}

// stat is os.Stat of what may not answer.
func (p *planner) stat(path string) (fs.FileInfo, error) {
	info, err := answer.Within(&p.paths, path, func() (fs.FileInfo, error) { return os.Stat(path) })
	if errors.Is(err, answer.Err) {
		err = &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return info, err
}

// meansContents tells whether rsync takes a source for the contents of the directory.
func meansContents(path string) bool {
	last := path[strings.LastIndexByte(path, '/')+1:]
	return last == "" || last == "." || last == ".."
}

// local resolves a path on this machine as written in a configuration in dir. The last part need
// not exist.
func local(dir, written string) (string, error) {
	path, err := config.Abs(dir, written)
	if err != nil {
		return "", err
	}
	clean := filepath.Clean(path)
	if !strings.Contains(path, "..") {
		return onDisk(clean)
	}
	if real, err := os.Stat(path); err == nil {
		if other, err := os.Stat(clean); err != nil || !os.SameFile(real, other) {
			return "", fmt.Errorf("the path %q goes through a symbolic link and back by \"..\", which can be read in two ways; write it without \"..\"", path)
		}
	}
	return onDisk(clean)
}

// onDisk returns a clean absolute path with each name as the directory that holds it spells it.
//
// Strings in HCL are in Unicode's composed form (NFC), whatever the file says; names on disk are what
// their creator wrote. A name that exists only in another form is meant all the same.
func onDisk(path string) (string, error) {
	found := string(filepath.Separator)
	for name := range strings.SplitSeq(path, string(filepath.Separator)) {
		if name == "" {
			continue
		}
		if !ascii(name) {
			spellings := equals(found, name)
			switch len(spellings) {
			case 0:
			case 1:
				name = spellings[0]
			default:
				return "", fmt.Errorf("%s holds %d names that read %q and differ only in the form of their letters (%+q); rename one, or give the one that is meant a plain name by a symbolic link and write that", found, len(spellings), name, spellings)
			}
		}
		found = filepath.Join(found, name)
	}
	return found, nil
}

// equals returns the names in dir that are the same text as name, however composed. A directory that
// cannot be read holds none.
func equals(dir, name string) (names []string) {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	for {
		batch, err := f.Readdirnames(1024)
		for _, entry := range batch {
			if norm.NFC.String(entry) == norm.NFC.String(name) {
				names = append(names, entry)
			}
		}
		if err != nil {
			return names
		}
	}
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
