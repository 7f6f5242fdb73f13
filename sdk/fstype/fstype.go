// Package fstype tells which file systems a kernel cannot watch as a whole: those that other hosts, a
// server or a user's program change without it.
package fstype

// Type is the type of a file system.
type Type struct {
	// Name is what people call it, "" where it is not known.
	Name string
	// Remote is set when it may change without this kernel doing it. Then the kernel reports only what
	// is done here, and may show old attributes for a while.
	Remote bool
}
