package mounts

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// lockForGood gives the goroutine a thread that ends with it.
func lockForGood() { runtime.LockOSThread() }

// dropCapabilities takes all capabilities from the calling thread.
func dropCapabilities(t *testing.T) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Error(err)
	}
}
