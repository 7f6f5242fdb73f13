package watch

import "golang.org/x/sys/unix"

// usedInodes returns how many inodes are in use in the file system of root, where that can be told: no tree
// in it has more directories.
func usedInodes(root string) (uint64, bool) {
	var st unix.Statfs_t
	if unix.Statfs(root, &st) != nil || st.Files == 0 || st.Ffree > st.Files {
		return 0, false
	}
	return st.Files - st.Ffree, true
}
