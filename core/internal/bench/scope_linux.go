package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
)

// scope owns processes and directories, and ends and removes them when it is left. As in a test, what goes
// wrong ends it by a panic, in the goroutine that entered it; the parts of plugintest take it for one.
type scope struct {
	ctx      context.Context
	dir      string // for temporary directories
	cleanups []func()
}

var _ sshd.T = (*scope)(nil)

// failure is what a scope panics with.
type failure struct{ err error }

// inScope runs f in a new scope and returns why it failed, once all that it made is gone.
func inScope(ctx context.Context, dir string, f func(*scope)) error {
	s := &scope{ctx: ctx, dir: dir}
	err := s.try(func() { f(s) })
	for _, clean := range slices.Backward(s.cleanups) {
		err = errors.Join(err, s.try(clean))
	}
	return err
}

// within runs f in a scope of its own, which ends before within returns.
func (s *scope) within(f func(*scope)) { s.check(inScope(s.ctx, s.dir, f)) }

// try runs f and returns why it failed.
func (s *scope) try(f func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case failure:
			err = p.err
		default:
			panic(p)
		}
	}()
	f()
	return nil
}

// check ends the scope if there is an error.
func (s *scope) check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// Fatalf ends the scope.
func (s *scope) Fatalf(format string, args ...any) { s.check(fmt.Errorf(format, args...)) }

// Helper is for tests.
func (s *scope) Helper() {}

// Failed returns false: a test would show the log of its sshd.
func (s *scope) Failed() bool { return false }

// Logf is for tests.
func (s *scope) Logf(string, ...any) {}

// Cleanup has f called at the end of the scope.
func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// TempDir makes a directory that is removed at the end of the scope.
func (s *scope) TempDir() string {
	dir, err := os.MkdirTemp(s.dir, "fwbench-")
	s.check(err)
	s.Cleanup(func() { s.check(os.RemoveAll(dir)) })
	return dir
}

// sleep sleeps, unless the program is to end.
func (s *scope) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
		s.check(s.ctx.Err())
	}
}

// poll calls done, with such pauses, until it returns true.
func (s *scope) poll(what string, timeout, pause time.Duration, done func() bool) {
	for deadline := time.Now().Add(timeout); !done(); s.sleep(pause) {
		if time.Now().After(deadline) {
			s.Fatalf("%s: not within %v", what, timeout)
		}
	}
}
