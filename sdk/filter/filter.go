// Package filter decides which paths a sync leaves alone, in rsync's exclude pattern language.
//
// A list of patterns means exactly what the same list means after rsync's --exclude options in a
// recursive transfer of the root's contents; see PATTERN MATCHING RULES in rsync(1). The first pattern
// that matches an entry decides about it, and what lies below an excluded directory is excluded too.
// As with rsync, "+ PATTERN" includes, "- PATTERN" excludes like PATTERN alone, and "!" discards all
// patterns before it. Names are bytes, and classes such as [:alpha:] know ASCII only (locale C).
//
// One engine serves the watchers, the dirty set and the transports, so that what is not watched and
// what is not transferred are the same.
package filter

import (
	"errors"
	"strings"
)

// Filter is a compiled list of patterns. It is immutable and safe for concurrent use. A nil *Filter
// excludes nothing.
//
// The paths that its methods take are relative to the root and separated by "/", without a leading or
// trailing "/". The empty path is the root, which no pattern excludes.
type Filter struct {
	patterns []string
	rules    []rule
}

// Parse compiles patterns. It refuses what rsync refuses or ignores (an empty or overlong pattern), and
// what could never match because it is malformed (an unclosed class, an unknown [:class:], a backslash
// at the end), as well as patterns with a NUL or a newline. The error then holds one *PatternError for
// each bad pattern, joined by errors.Join.
func Parse(patterns []string) (*Filter, error) {
	f := &Filter{patterns: append([]string(nil), patterns...)}
	var errs []error
	for i, p := range patterns {
		if p == "!" {
			f.rules = nil
			continue
		}
		r, reason := compile(p)
		if reason != "" {
			errs = append(errs, &PatternError{Index: i, Pattern: p, Reason: reason})
			continue
		}
		f.rules = append(f.rules, r)
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return f, nil
}

// Empty reports whether f excludes nothing at all.
func (f *Filter) Empty() bool {
	if f == nil {
		return true
	}
	for i := range f.rules {
		if !f.rules[i].include {
			return false
		}
	}
	return true
}

// NamesOnly reports whether the patterns look at names alone and not at paths: what they say of an entry stays
// the same wherever it is moved to, as long as nothing above it is excluded.
func (f *Filter) NamesOnly() bool {
	if f == nil {
		return true
	}
	for i := range f.rules {
		switch f.rules[i].form {
		case formPath, formTail, formPathGlob:
			return false
		}
	}
	return true
}

// Match reports whether the patterns exclude this one entry, wherever it lies. It is for callers that
// descend from the root and never enter an excluded directory; all others want Excluded.
//
// dir tells whether the entry is a directory; a symbolic link to one is not.
func (f *Filter) Match(path string, dir bool) bool {
	if f == nil || path == "" {
		return false
	}
	base := path[strings.LastIndexByte(path, '/')+1:]
	for i := range f.rules {
		if r := &f.rules[i]; r.matches(path, base, dir) {
			return !r.include
		}
	}
	return false
}

// Excluded reports whether path is excluded: by itself, or because it lies below an excluded directory.
// dir is as for Match.
func (f *Filter) Excluded(path string, dir bool) bool {
	if f == nil || len(f.rules) == 0 {
		return false
	}
	for i := 0; i < len(path); i++ {
		if path[i] == '/' && f.Match(path[:i], true) {
			return true
		}
	}
	return f.Match(path, dir)
}

// ExcludedMissing reports whether path, which is gone from the source, must not be named as a deletion:
// whether it would be excluded as a file or as a directory.
//
// A deletion must never remove what the filter protects at the destination, and a pattern such as
// "cache/" protects only directories. What the path was at the source is unknown by now and would not
// help: it is the destination's entry that counts, and it may be either. rsync does not look: told that
// "cache" is missing (--delete-missing-args), it judges it as a file whatever it is, and removes the
// protected directory.
//
// When the two roles differ (Excluded(path, false) != Excluded(path, true)), an entry of the other kind
// may still have to go. Only a comparison of the parent directory at the destination can tell.
func (f *Filter) ExcludedMissing(path string) bool {
	return f.Excluded(path, false) || f.Excluded(path, true)
}

// RsyncArgs returns the arguments that make rsync exclude the same entries in a recursive transfer of
// the root's contents. Together with --delete they also keep excluded entries at the destination;
// without it rsync does not tell the receiver about them, and --delete-missing-args and --force remove
// them. With --delete-excluded they do not protect.
//
// In a transfer that is given its paths (--files-from), rsync asks the patterns about each path itself
// but not about the directories above it: leave out what Excluded or ExcludedMissing names.
func (f *Filter) RsyncArgs() []string {
	if f == nil {
		return nil
	}
	args := make([]string, len(f.patterns))
	for i, p := range f.patterns {
		args[i] = "--exclude=" + p
	}
	return args
}
