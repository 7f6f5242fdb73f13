//go:build race

package proc

import (
	"os"
	"strings"
	"syscall"
)

// EndAtOnce is for a TestMain whose program tests start as another one, and is called before all else. The
// race detector has each process wait for a second at its end; it reads what it is told otherwise when the
// process starts. So the process starts this program once more in its own place, with all that it has.
func EndAtOnce() {
	const told = "atexit_sleep_ms="
	options := os.Getenv("GORACE")
	if strings.Contains(options, told) {
		return
	}
	env := append(os.Environ(), "GORACE="+strings.TrimSpace(options+" "+told+"0"))
	if err := syscall.Exec("/proc/self/exe", os.Args, env); err != nil {
		panic(&os.PathError{Op: "exec", Path: "/proc/self/exe", Err: err})
	}
}
