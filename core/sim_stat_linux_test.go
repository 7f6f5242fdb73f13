package core

import (
	"syscall"
	"time"
)

// simStat is what the kernel tells of an entry that was changed then.
func simStat(changed time.Time) any {
	return &syscall.Stat_t{Ctim: syscall.NsecToTimespec(changed.UnixNano())}
}
