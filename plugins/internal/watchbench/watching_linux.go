package main

import (
	"bytes"
	"context"
	"io"
	"time"
)

// watcher starts a process that watches root and tells r, and returns once everything is watched.
type watcher func(ctx context.Context, root string, r *record) (watching, error)

// watching is a process that watches a tree.
type watching interface {
	PID() int
	// times tell how long the process took to answer, and from then on until everything was watched.
	times() (started, ready time.Duration)
	// settle returns once everything that happened before has been told.
	settle() error
	// stop ends the process, and returns when it has ended.
	stop()
}

// lines is an io.Writer that calls itself with every line.
type lines func(line string)

// split returns the writer.
func (l lines) split() io.Writer { return &splitter{handle: l} }

type splitter struct {
	handle lines
	rest   []byte // of a line that has not ended yet
}

func (s *splitter) Write(p []byte) (int, error) {
	s.rest = append(s.rest, p...)
	for {
		line, rest, ok := bytes.Cut(s.rest, []byte("\n"))
		if !ok {
			s.rest = append(s.rest[:0:0], s.rest...)
			return len(p), nil
		}
		s.handle(string(line))
		s.rest = rest
	}
}
