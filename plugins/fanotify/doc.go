// Package fanotify watches directory trees of any size with one mark of the kernel.
//
// A mark on a file system reports every change in it, wherever that is, with a handle of the directory
// and the name of the entry. So nothing is read or kept per directory, no new directory can be missed,
// and being ready takes no longer for a million directories than for one. The price is the privilege it
// takes, and that changes outside the root are seen as well; the handles of their directories are
// remembered, so that each costs a look into a map.
//
// What a handle stands for is asked when its event is acted on, so that a path is the present one. Paths
// are remembered until a directory in the tree is renamed. A path that is outdated all the same does no
// harm: the event of the rename that outdated it is still to come, and has everything below the new
// place compared.
//
// Each file system that is mounted below the root has a mark of its own, from when the kernel says
// that the mounts have changed. A file descriptor is open in one of them only while an event in it is
// acted on, for that makes it busy for umount(8).
//
// An event tells by a handle as well which file it is about. So a file with several hard links, which is
// reported under the name it was changed by at once, is also found, by a search, under its others, even if
// the former name is gone by then.
//
// Limits that the kernel sets: changes made on another host of a network file system, by a write
// through mmap before the file is closed, and in the layers below an overlay are not seen, and neither
// are those made through a handle, as an NFS server does it, of a file that nobody on this host has
// looked up by its name lately. The other names of a file are not reported when it was changed by a name in
// a directory that is outside the tree or excluded. The periodic rescan finds what is not seen.
package fanotify
