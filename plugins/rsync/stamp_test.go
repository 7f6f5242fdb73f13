package rsync

import (
	"fmt"
	"os"
	"syscall"
)

// stamp is different after any change of a file, its attributes or its links.
func stamp(p string) string {
	info, err := os.Lstat(p)
	if err != nil {
		return "gone"
	}
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprint(st.Ino, st.Mode, st.Size, st.Ctim)
}
