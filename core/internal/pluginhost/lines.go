package pluginhost

import (
	"bytes"
	"sync"
)

// maxLine is how much of a line is kept. Log lines with a stack trace in them stay below it.
const maxLine = 64 << 10

// lineWriter cuts what is written to it into lines and passes them on without their end. A line
// longer than maxLine is passed on, cut, as soon as it is that long; the rest of it is dropped, so
// that memory is bounded. It is safe for concurrent use.
type lineWriter struct {
	emit func(line []byte, cut bool) // must not keep line

	mu       sync.Mutex // guards the fields below and orders the calls of emit
	buf      []byte     // the line so far
	skipping bool       // the rest of a line that was cut
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		rest = after
		if !w.skipping {
			room := maxLine - len(w.buf)
			w.buf = append(w.buf, line[:min(len(line), room)]...)
			switch {
			case len(line) > room:
				w.pass(true)
				w.skipping = true
			case ended:
				w.pass(false)
			}
		}
		if ended {
			w.skipping = false
		}
	}
	return len(p), nil
}

// flush passes on a last line that has no end.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) > 0 {
		w.pass(false)
	}
	w.skipping = false
}

func (w *lineWriter) pass(cut bool) {
	w.emit(bytes.TrimSuffix(w.buf, []byte{'\r'}), cut)
	w.buf = w.buf[:0]
}
