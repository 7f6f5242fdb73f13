package transfer

import (
	"os"
	"syscall"
	"time"
)

// changeTime is when the inode was last changed, which unlike the time of modification nobody can set.
func changeTime(info os.FileInfo) time.Time {
	st := info.Sys().(*syscall.Stat_t)
	return time.Unix(int64(st.Ctim.Sec), int64(st.Ctim.Nsec))
}
