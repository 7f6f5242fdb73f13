package pluginhost

import (
	"fmt"
	"os"
)

// openFilePath returns a path that leads a child process to the very file that is open here, as long
// as it is.
func openFilePath(f *os.File) string {
	return fmt.Sprintf("/proc/self/fd/%d", f.Fd())
}

// ownExecutable returns a path for starting this program again. When an upgrade has replaced the
// file, it leads to the old one, which still exists while it runs: a plugin of another version than
// the daemon's would be started otherwise.
func ownExecutable() (string, error) {
	const self = "/proc/self/exe"
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	running, err := os.Stat(self)
	if err != nil {
		return path, nil
	}
	if installed, err := os.Stat(path); err == nil && os.SameFile(installed, running) {
		return path, nil
	}
	return self, nil
}
