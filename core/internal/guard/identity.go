package guard

import (
	"cmp"
	"slices"
	"strings"
)

// Identity is what tells one directory from another, also after a restart of the machine.
//
// There is no device number in it: the kernel gives those out in the order in which disks and mounts
// appear, and an automounted directory has another one each time. What takes its place is the UUID of the
// file system, or else the mount.
type Identity struct {
	Type  string `json:"type,omitempty"` // of the file system, as the kernel names it; "" = not known
	UUID  string `json:"uuid,omitempty"` // of the file system, in hex; "" = it tells none
	Inode uint64 `json:"inode"`          // number
	Born  int64  `json:"born,omitempty"` // when it was made, in ns since 1970; 0 = not told
	Mount Mount  `json:"mount,omitzero"` // that the directory is on
	Path  Path   `json:"path,omitempty"` // with symbolic links resolved; "" = not known

	// Handle is the kernel's own name for the directory (name_to_handle_at(2)): a type, a colon, and bytes
	// in hex, with the inode's generation among them. Inode numbers are given out again, by ext4 at once;
	// handles are not. "" = the file system has none.
	Handle string `json:"handle,omitempty"`
}

// Mount is a mounted file system, or a part of one.
type Mount struct {
	Point  Path `json:"point"`  // directory it is mounted on
	Source Path `json:"source"` // device, server and directory, or whatever the type calls its source
	Root   Path `json:"root"`   // the part of the file system that is mounted
}

// unsteady are the types of file systems that make up inode numbers and handles as they go: the same
// directory has others after it was unmounted, or only out of memory for a while.
var unsteady = []string{"vfat", "msdos", "exfat", "cifs", "smb3", "vboxsf", "virtiofs"}

func isUnsteady(fsType string) bool {
	return strings.HasPrefix(fsType, "fuse") || slices.Contains(unsteady, fsType)
}

// same reports whether a and b are one directory. What only one of them knows, for another kernel told
// less, is no difference.
func (a Identity) same(b Identity) bool {
	switch {
	case differ(a.Type, b.Type), differ(a.UUID, b.UUID), differ(a.Born, b.Born):
		return false
	case isUnsteady(a.Type) || isUnsteady(b.Type):
		return a.Path == b.Path && a.Mount == b.Mount
	}
	if comparable := a.Handle != "" && handleType(a.Handle) == handleType(b.Handle); comparable && a.Handle != b.Handle || !comparable && a.Inode != b.Inode {
		return false
	}
	// The top directory has the same inode and handle in all file systems of a type.
	return a.UUID != "" && b.UUID != "" || a.Born != 0 && b.Born != 0 || a.Mount == b.Mount
}

// differ reports whether both are known and not the same.
func differ[T comparable](a, b T) bool {
	var unknown T
	return a != unknown && b != unknown && a != b
}

func handleType(handle string) string {
	kind, _, _ := strings.Cut(handle, ":")
	return kind
}

// learn returns what is known of a directory after it was seen once more, maybe in less detail.
func (a Identity) learn(seen Identity) Identity {
	return Identity{
		Type:   cmp.Or(seen.Type, a.Type),
		UUID:   cmp.Or(seen.UUID, a.UUID),
		Inode:  seen.Inode,
		Born:   cmp.Or(seen.Born, a.Born),
		Mount:  cmp.Or(seen.Mount, a.Mount),
		Path:   cmp.Or(seen.Path, a.Path),
		Handle: cmp.Or(seen.Handle, a.Handle),
	}
}

// known reports whether a is of any directory: there is no inode 0.
func (a Identity) known() bool { return a.Inode != 0 }
