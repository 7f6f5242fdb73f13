//go:build !linux

package rsync

import "time"

// stuck cannot tell on this system.
func stuck(_ int, _ time.Duration, done <-chan struct{}) bool {
	<-done
	return false
}
