package filter

import "strings"

// token is one element of a pattern with wildcards.
type token struct {
	op   op
	char byte // of opChar
	set  *set // of opSet
}

type op uint8

const (
	opChar  op = iota // this byte
	opOne             // "?": any byte but a slash
	opSet             // "[…]": a byte of the set
	opStar            // "*": any bytes but slashes
	opCross           // "**": any bytes
)

// accepts reports whether the token, one that stands for a single byte, stands for b.
func (t *token) accepts(b byte) bool {
	switch t.op {
	case opChar:
		return b == t.char
	case opOne:
		return b != '/'
	default:
		return t.set.has(b)
	}
}

// tokenize takes a pattern with wildcards apart, or says why it cannot.
func tokenize(p string) (tokens []token, reason string) {
	for i := 0; i < len(p); {
		switch p[i] {
		case '*':
			n := len(p[i:]) - len(strings.TrimLeft(p[i:], "*"))
			if n == 1 {
				tokens = append(tokens, token{op: opStar})
			} else {
				tokens = append(tokens, token{op: opCross})
			}
			i += n
		case '?':
			tokens = append(tokens, token{op: opOne})
			i++
		case '[':
			s, n, reason := parseSet(p[i:])
			if reason != "" {
				return nil, reason
			}
			tokens = append(tokens, token{op: opSet, set: s})
			i += n
		case '\\':
			if i++; i == len(p) {
				return nil, `the backslash at its end escapes nothing, so that it never matches; write \\ for a backslash`
			}
			fallthrough
		default:
			tokens = append(tokens, token{op: opChar, char: p[i]})
			i++
		}
	}
	return tokens, ""
}
