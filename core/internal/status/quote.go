package status

import (
	"strconv"
	"strings"
)

// Quote returns a name or path as operators read it: in quotes when a reader would not see where it ends,
// or a terminal what it is.
func Quote(s string) string {
	if s == "" || Escape(s) != s || strings.TrimSpace(s) != s {
		return strconv.Quote(s)
	}
	return s
}

// Escape makes what could command a terminal or forge a line visible. Quotes and backslashes stay as they
// are, for most of what comes here has been written for readers already.
func Escape(s string) string {
	quoted := strconv.Quote(s)
	return unquoted.Replace(quoted[1 : len(quoted)-1])
}

var unquoted = strings.NewReplacer(`\\`, `\`, `\"`, `"`)
