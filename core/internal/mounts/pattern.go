package mounts

import (
	"strings"
	"unicode/utf8"
)

// maxPattern is how long a pattern may be for rsync to look at it.
const maxPattern = 4095

// Pattern returns an rsync pattern that excludes path, which is relative to the root, and all below it. Of
// a path that is too long for a pattern it excludes a directory above.
func Pattern(path string) string {
	for {
		if p := pattern(path); len(p) < maxPattern {
			return p
		}
		path = path[:strings.LastIndexByte(path, '/')]
	}
}

func pattern(path string) string {
	// A backslash escapes only in a pattern with wildcards. What cannot be in one at all is replaced by
	// the wildcard for one byte.
	if !strings.ContainsAny(path, "*?[\n") && utf8.ValidString(path) {
		return "/" + path
	}
	var b strings.Builder
	b.WriteByte('/')
	for i := 0; i < len(path); {
		r, size := utf8.DecodeRuneInString(path[i:])
		switch {
		case r == '\n' || r == utf8.RuneError && size == 1:
			b.WriteByte('?')
		case strings.ContainsRune(`*?[\`, r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteString(path[i : i+size])
		}
		i += size
	}
	return b.String()
}
