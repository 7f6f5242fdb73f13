package rsync

import (
	"fmt"
	"os"

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
