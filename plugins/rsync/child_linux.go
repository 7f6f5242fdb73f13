package rsync

import (
	"strconv"
	"strings"
)

// childless reports whether a process has no children, or only dead ones. It reports false if it cannot tell.
func childless(pid int) bool {
	children, err := readErr("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(pid) + "/children")
	if err != nil {
		return false
	}
	for _, child := range strings.Fields(children) {
		// The state follows the name, in which a line break is escaped.
		_, state, _ := strings.Cut(read("/proc/"+child+"/status"), "\nState:\t")
		if state != "" && state[0] != 'Z' && state[0] != 'X' {
			return false
		}
	}
	return true
}
