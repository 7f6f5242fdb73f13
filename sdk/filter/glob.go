package filter

import "strings"

// glob is a pattern with wildcards.
type glob struct {
	tokens     []token
	start      start
	components int // of the path that fromEnd looks at
	// rsync lets a leading "**/" match at the root, and a trailing "/***" match the directory itself,
	// by putting a slash before the path, and after that of a directory.
	slashBefore, slashAfter bool
}

// start is where in the text a match may begin. It always ends at the end.
type start uint8

const (
	atStart        start = iota
	atAnyComponent       // at the start, or after any slash
	fromEnd              // only where as many components are left as the pattern has
)

// match reports whether the glob matches text.
func (g *glob) match(text string, dir bool) bool {
	s := subject{text: text, n: len(text)}
	if g.slashBefore {
		s.before, s.n = 1, s.n+1
	}
	if g.slashAfter && dir {
		s.n++
	}
	switch g.start {
	case atAnyComponent:
		for i := 0; i <= s.n; i++ {
			if i > 0 && s.at(i-1) != '/' {
				continue
			}
			switch g.matchAt(s, i) {
			case matched:
				return true
			case exhausted:
				return false
			}
		}
		return false
	case fromEnd:
		i := len(text)
		for range g.components {
			if i < 0 {
				return false
			}
			i = strings.LastIndexByte(text[:i], '/')
		}
		return g.matchAt(s, i+1) == matched
	default:
		return g.matchAt(s, 0) == matched
	}
}

// subject is the text to match, with the slashes that rsync adds to it.
type subject struct {
	text   string
	before int // 1 when a slash comes before text
	n      int // length with the added slashes
}

func (s *subject) at(i int) byte {
	if i -= s.before; uint(i) < uint(len(s.text)) {
		return s.text[i]
	}
	return '/'
}

type outcome uint8

const (
	mismatch  outcome = iota
	exhausted         // the text was too short: a later start does not match either
	matched
)

// matchAt matches the text from t to its end. On a mismatch it lets the latest "*" take one byte more,
// or else, if that byte is a slash, the latest "**". To try the earlier ones as well could not help: all
// other tokens stand for one byte and only a slash stands for a slash, so what follows an earlier one
// already matched as far to the left as it can. This bounds the work: the square of the text's length
// times the pattern's.
func (g *glob) matchAt(s subject, t int) outcome {
	var (
		p              = 0
		starP, starT   = -1, 0 // where to resume after the latest "*"; -1: none
		crossP, crossT = -1, 0 // where to resume after the latest "**"
	)
	for {
		if p == len(g.tokens) {
			if t == s.n {
				return matched
			}
		} else {
			last := p+1 == len(g.tokens)
			switch tok := &g.tokens[p]; tok.op {
			case opCross:
				if last {
					return matched
				}
				p++
				starP, crossP, crossT = -1, p, t
				continue
			case opStar:
				if !last {
					p++
					starP, starT = p, t
					continue
				}
				if !s.slashFrom(t) {
					return matched
				}
			default:
				if t == s.n {
					return exhausted
				}
				if tok.accepts(s.at(t)) {
					p, t = p+1, t+1
					continue
				}
			}
		}
		switch {
		case starP >= 0 && s.at(starT) != '/':
			starT++
			p, t = starP, starT
		case crossP >= 0:
			crossT++
			starP = -1
			p, t = crossP, crossT
		default:
			return mismatch
		}
	}
}

func (s *subject) slashFrom(t int) bool {
	for ; t < s.n; t++ {
		if s.at(t) == '/' {
			return true
		}
	}
	return false
}
