package filter

import "strings"

// maxPattern is the length from which rsync discards a pattern (its MAXPATHLEN).
const maxPattern = 4096

// rule is one compiled pattern.
type rule struct {
	include bool
	dirOnly bool // matches directories only
	form    form
	text    string // of a literal form
	glob    glob   // of formNameGlob and formPathGlob
}

// form is what a rule compares. Nearly all patterns that people write are literal, and comparing those
// takes a few nanoseconds.
type form uint8

const (
	formName     form = iota // name: the last component is text
	formSuffix               // *name: the last component ends in text
	formPath                 // /a/b: the path is text
	formTail                 // a/b: the last components are text
	formNameGlob             // wildcards within the last component
	formPathGlob             // wildcards, against the path
)

// compile turns a pattern into a rule, or says why it cannot.
func compile(pattern string) (r rule, reason string) {
	if strings.ContainsAny(pattern, "\x00\n") {
		return r, "it holds a NUL or a newline; write ? where a name has one"
	}
	p := pattern
	if strings.HasPrefix(p, "+ ") || strings.HasPrefix(p, "- ") {
		r.include = p[0] == '+'
		p = p[2:]
	}
	switch {
	case pattern == "":
		return r, "it is empty; remove it"
	case p == "":
		return r, "nothing follows the prefix; write the name to match after it"
	case len(p) >= maxPattern:
		return r, "it is longer than 4095 bytes, and rsync would ignore it; use wildcards"
	}
	if len(p) > 1 && p[len(p)-1] == '/' {
		p = p[:len(p)-1]
		r.dirOnly = true
	}
	rest, anchored := strings.CutPrefix(p, "/")

	if !strings.ContainsAny(p, "*?[") {
		r.text = rest
		switch {
		case anchored:
			r.form = formPath
		case strings.Contains(p, "/"):
			r.form = formTail
		default:
			r.form = formName
		}
		return r, ""
	}

	// rsync asks these questions of the text as it is, be a "*" or "/" escaped or in a class or not.
	slashes := strings.Count(p, "/")
	crosses := strings.Contains(p, "**")
	if slashes == 0 && !crosses {
		if p[0] == '*' && !strings.ContainsAny(p[1:], `*?[\`) {
			r.form, r.text = formSuffix, p[1:]
			return r, ""
		}
		r.form = formNameGlob
	} else {
		r.form = formPathGlob
	}
	r.glob.tokens, reason = tokenize(rest)
	r.glob.slashBefore = strings.HasPrefix(p, "**")
	r.glob.slashAfter = strings.HasSuffix(p, "***")
	switch {
	case anchored || r.form == formNameGlob:
		r.glob.start = atStart
	case crosses:
		r.glob.start = atAnyComponent
	default:
		r.glob.start = fromEnd
		r.glob.components = slashes + 1
	}
	return r, reason
}

// matches reports whether the rule matches the entry; base is the last component of path.
func (r *rule) matches(path, base string, dir bool) bool {
	if r.dirOnly && !dir {
		return false
	}
	switch r.form {
	case formName:
		return base == r.text
	case formSuffix:
		return strings.HasSuffix(base, r.text)
	case formPath:
		return path == r.text
	case formTail:
		before, ok := strings.CutSuffix(path, r.text)
		return ok && (before == "" || before[len(before)-1] == '/')
	case formNameGlob:
		return r.glob.match(base, dir)
	default:
		return r.glob.match(path, dir)
	}
}
