package rsync

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// stamp is different after any change of a file, its attributes or its links.
func stamp(p string) string {
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		return "gone"
	}
	return fmt.Sprint(st.Ino, st.Mode, st.Size, st.Ctim)
}

// inode returns the inode number that a stamp begins with.
func inode(stamp string) string {
	ino, _, _ := strings.Cut(stamp, " ")
	return ino
}

func readDir(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func isDir(p string) bool {
	info, err := os.Lstat(p)
	return err == nil && info.IsDir()
}
