package status

import (
	"strings"
	"unicode/utf8"
)

// page gathers lines.
type page struct {
	b     strings.Builder
	width int // of the lines; 0 = any
}

// indentation is that of one level.
const indentation = 2

// line adds a line. One that is too long goes on in the next, one level deeper.
func (p *page) line(level int, text string) {
	text = Escape(text)
	for first := true; ; first = false {
		indent := level * indentation
		if !first {
			indent += indentation
		}
		end := len(text)
		if p.width > 0 {
			end = breakAt(text, p.width-indent)
		}
		p.b.WriteString(strings.Repeat(" ", indent) + strings.TrimRight(text[:end], " ") + "\n")
		text = strings.TrimLeft(text[end:], " ")
		if text == "" {
			return
		}
	}
}

// command adds a line that is not broken, so that it can be copied.
func (p *page) command(level int, text string) {
	p.b.WriteString(strings.Repeat(" ", level*indentation) + Escape(text) + "\n")
}

// breakAt returns where the first line of text ends: before the last space that leaves it within width, else
// before the first one.
func breakAt(text string, width int) int {
	if utf8.RuneCountInString(text) <= width {
		return len(text)
	}
	end, column := -1, 0
	for i, r := range text {
		if r == ' ' && strings.TrimLeft(text[:i], " ") != "" && (end < 0 || column <= width) {
			end = i
		}
		if column++; column > width && end >= 0 {
			break
		}
	}
	if end < 0 {
		return len(text)
	}
	return end
}
