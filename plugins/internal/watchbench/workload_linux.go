package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// eventsPerWrite is what the kernel tells of one write to a file: that it was modified, and closed.
const eventsPerWrite = 2

// write writes to n files, one after the other, and returns what is to be told.
func (t *tree) write(n int) ([]change, error) {
	changes := make([]change, 0, n)
	for i := range n {
		path := t.file(i)
		f, err := os.OpenFile(filepath.Join(t.root, path), os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change{path, time.Now()})
		_, err = f.WriteString("x")
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// races is the directory that race works in.
const races = "races"

// race makes directories with something in them before anyone can watch them, n times, and renames each
// while that is looked at. It returns what is to be told.
func (t *tree) race(n int) (changes []change, err error) {
	do := func(path string, f func(path string) error) {
		at := time.Now() // not after f, for it may have been told of before that returns
		if err == nil {
			err = f(filepath.Join(t.root, path))
		}
		changes = append(changes, change{path, at})
	}
	touch := func(path string) error { return os.WriteFile(path, []byte("x"), 0o644) }
	for i := range n {
		base := fmt.Sprintf("%s/%d", races, i)
		before, after := base+"/before", base+"/after"
		do(before+"/a/b", func(path string) error { return os.MkdirAll(path, 0o755) })
		do(before+"/a/b/early", touch)
		changes = changes[:len(changes)-2] // they will be elsewhere
		do(before, func(path string) error { return os.Rename(path, filepath.Join(t.root, after)) })
		renamed := changes[len(changes)-1].at
		for _, name := range []string{"", "/a", "/a/b", "/a/b/early"} {
			changes = append(changes, change{after + name, renamed})
		}
		do(after+"/a/b/late", touch)
	}
	return changes, err
}

// tidy removes what race has made.
func (t *tree) tidy() error { return os.RemoveAll(filepath.Join(t.root, races)) }
