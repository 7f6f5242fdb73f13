package guard

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Path is a path in the bytes it has on disk. Unlike a string, it survives JSON whatever they are: a byte
// that is not part of valid UTF-8 is written as \xNN, and a backslash as two.
type Path string

// MarshalText implements encoding.TextMarshaler.
func (p Path) MarshalText() ([]byte, error) {
	out := make([]byte, 0, len(p))
	for i := 0; i < len(p); {
		r, n := utf8.DecodeRuneInString(string(p[i:]))
		switch {
		case r == utf8.RuneError && n == 1:
			out = fmt.Appendf(out, `\x%02x`, p[i])
		case r == '\\':
			out = append(out, `\\`...)
		default:
			out = append(out, p[i:i+n]...)
		}
		i += n
	}
	return out, nil
}

// UnmarshalText implements encoding.TextUnmarshaler. It takes what MarshalText writes and nothing else.
func (p *Path) UnmarshalText(text []byte) error {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		rest := string(text[i+1:])
		switch {
		case strings.HasPrefix(rest, `\`):
			out = append(out, '\\')
			i++
		case len(rest) >= 3 && rest[0] == 'x':
			b, err := strconv.ParseUint(rest[1:3], 16, 8)
			if err != nil {
				return errEscape
			}
			out = append(out, byte(b))
			i += 3
		default:
			return errEscape
		}
	}
	*p = Path(out)
	return nil
}

var errEscape = errors.New(`a backslash in a path is followed by neither \ nor xNN`)

// String returns the path, quoted where it would confuse a reader or a terminal.
func (p Path) String() string {
	s := string(p)
	if quoted := strconv.Quote(s); s == "" || quoted[1:len(quoted)-1] != s || strings.TrimSpace(s) != s {
		return quoted
	}
	return s
}

// shell returns the path as one word for a POSIX shell.
func (p Path) shell() string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+=:,@%", r)
	}
	s := string(p)
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
