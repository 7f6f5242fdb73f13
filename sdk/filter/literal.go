package filter

import (
	"strings"
	"unicode/utf8"
)

// Literal returns a pattern that excludes path, which is relative to the root, and all below it. Of a path
// that is too long for a pattern it excludes a directory above.
func Literal(path string) string {
	for {
		if p := literal(path); len(p) < maxPattern {
			return p
		}
		path = path[:strings.LastIndexByte(path, '/')]
	}
}

func literal(path string) string {
	// A backslash escapes only in a pattern with wildcards.
	if !strings.ContainsAny(path, "*?[\n") && utf8.ValidString(path) {
		return "/" + path
	}
	return "/" + Escape(path)
}

// Escape returns text for a pattern with wildcards, in which it stands for itself. What cannot be in a pattern
// at all is replaced by the wildcard for one byte.
func Escape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == '\n' || r == utf8.RuneError && size == 1:
			b.WriteByte('?')
		case strings.ContainsRune(`*?[\`, r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteString(text[i : i+size])
		}
		i += size
	}
	return b.String()
}
