package sdk

import (
	"strconv"
	"strings"
)

// Change says that a path may differ from what was last seen there, never more: the file system is
// the truth, and whoever acts on a change looks at it first.
type Change struct {
	// Path is relative to the root and separated by "/"; "" is the root itself. It may hold any
	// byte but NUL.
	Path string
	// Scope tells how much below Path is in doubt. A watcher reports a directory that is new there with
	// ScopeSubtree.
	Scope Scope
	// Ops is what was seen, for logs, for timing, and for MayBeWritten; 0 = that is not known.
	Ops Op
	// From is where what is at Path was before a rename; "" = it was not renamed, or that is not known. It
	// may save a transport from sending the content again, and is never trusted. What it says exactly differs.
	//
	// A watcher sets it together with OpCreate. It reports the change of From itself right before, and what
	// happens at either name later after this.
	//
	// A transport is given the name under which the destination had it when it was last in step, which may
	// be that of several renames ago. All hints of a request are about that one moment.
	From string
}

// MayBeWritten reports whether a file may have another content although its size and time are what they were. That it was
// opened for writing and closed says nothing: databases do that all the time.
func (c Change) MayBeWritten() bool { return c.Ops == 0 || c.Ops&(OpCreate|OpWrite) != 0 }

// Scope is the extent of a change.
type Scope uint8

// The scopes. The zero value is the smaller one.
const (
	ScopePath    Scope = iota // the path itself: content and attributes, or absence
	ScopeSubtree              // the path and everything below it
)

// Op is a set of hints about what happened to a path.
type Op uint8

// The hints, in the bits that travel to the core.
const (
	OpCreate Op = 1 << iota // created, or moved here
	OpWrite                 // written; the writer may not be done
	OpClose                 // closed after writing
	OpRemove                // removed, or moved away
	OpRename                // with OpCreate or OpRemove: by a rename
	OpAttrib                // mode, owner, times, extended attributes or link count
)

var opNames = [...]string{"CREATE", "WRITE", "CLOSE", "REMOVE", "RENAME", "ATTRIB"}

// String returns the hints joined by "|", as in "CREATE|CLOSE", and "CHANGE" for none.
func (o Op) String() string {
	var names []string
	for i, name := range opNames {
		if o&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "CHANGE"
	}
	return strings.Join(names, "|")
}

// String returns the path as operators read it: a directory in doubt as a whole ends in "/", the root is
// "./", and what a terminal or a log line could not show is quoted.
func (c Change) String() string {
	path := c.Path
	if path == "" {
		path = "."
	}
	if c.Scope == ScopeSubtree {
		path += "/"
	}
	if quoted := strconv.Quote(path); quoted != `"`+path+`"` {
		return quoted
	}
	return path
}

// validPath reports whether p has the form of a Change.Path.
func validPath(p string) bool {
	if p == "" {
		return true
	}
	for name := range strings.SplitSeq(p, "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	return !strings.Contains(p, "\x00")
}

func invalidPath(p string) bool { return !validPath(p) }

// Covers reports whether the scope of c takes in path.
func (c Change) Covers(path string) bool {
	if c.Path == path {
		return true
	}
	return c.Scope == ScopeSubtree && (c.Path == "" || len(path) > len(c.Path) && path[len(c.Path)] == '/' && path[:len(c.Path)] == c.Path)
}
