package filter

import "strings"

// set is a set of bytes.
type set [4]uint64

func (s *set) has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }
func (s *set) add(b byte)      { s[b>>6] |= 1 << (b & 63) }
func (s *set) remove(b byte)   { s[b>>6] &^= 1 << (b & 63) }

// addRange adds the bytes from lo to hi; none if hi is less.
func (s *set) addRange(lo, hi byte) {
	for b := int(lo); b <= int(hi); b++ {
		s.add(byte(b))
	}
}

const unclosed = `the class that begins with [ has no closing ], so that it never matches; write \[ for a bracket (and \\ for a backslash)`

// parseSet parses the class at the start of p, which is "[". It returns how many bytes it takes, or
// what is wrong. A "]" is literal when it comes first, a "-" when it does not stand between two bytes.
// No class holds the slash, not even one that names it.
func parseSet(p string) (s *set, n int, reason string) {
	s = new(set)
	i := 1
	invert := len(p) > 1 && (p[1] == '!' || p[1] == '^')
	if invert {
		i++
	}
	low := -1 // what a "-" that comes next would begin a range with
	for first := true; ; first = false {
		if i >= len(p) {
			return nil, 0, unclosed
		}
		if p[i] == ']' && !first {
			break
		}
		if name, length, ok := className(p[i:]); ok {
			if !s.addClass(name) {
				return nil, 0, "it never matches, because there is no class [:" + name + ":]; the classes are those of POSIX, such as [:alpha:] and [:digit:]"
			}
			i += length
			low = -1
			continue
		}
		isRange := p[i] == '-' && low >= 0 && i+1 < len(p) && p[i+1] != ']'
		if isRange {
			i++
		}
		if p[i] == '\\' {
			if i++; i == len(p) {
				return nil, 0, unclosed
			}
		}
		if isRange {
			s.addRange(byte(low), p[i])
			low = -1
		} else {
			s.add(p[i])
			low = int(p[i])
		}
		i++
	}
	if invert {
		for i := range s {
			s[i] = ^s[i]
		}
	}
	s.remove('/')
	return s, i + 1, ""
}

// className returns the name in the "[:name:]" at the start of p and the length of the whole.
func className(p string) (name string, length int, ok bool) {
	rest, ok := strings.CutPrefix(p, "[:")
	if !ok {
		return "", 0, false
	}
	end := strings.IndexByte(rest, ']')
	if end < 1 || rest[end-1] != ':' {
		return "", 0, false
	}
	return rest[:end-1], len("[:") + end + 1, true
}

// addClass adds the bytes of a POSIX class in the locale C and reports whether there is such a class.
func (s *set) addClass(name string) bool {
	ranges, ok := classes[name]
	for i := 0; i < len(ranges); i += 2 {
		s.addRange(ranges[i], ranges[i+1])
	}
	return ok
}

// classes holds the first and last byte of each range of a class.
var classes = map[string]string{
	"alnum":  "09AZaz",
	"alpha":  "AZaz",
	"blank":  "\t\t  ",
	"cntrl":  "\x00\x1f\x7f\x7f",
	"digit":  "09",
	"graph":  "!~",
	"lower":  "az",
	"print":  " ~",
	"punct":  "!/:@[`{~",
	"space":  "\t\r  ",
	"upper":  "AZ",
	"xdigit": "09AFaf",
}
