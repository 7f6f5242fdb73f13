package pluginhost

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// linesOf writes the chunks and returns the lines that come out; cut ones end in "✂".
func linesOf(chunks ...string) []string {
	var lines []string
	w := &lineWriter{emit: func(line []byte, cut bool) {
		text := string(line)
		if cut {
			text += "✂"
		}
		lines = append(lines, text)
	}}
	for _, c := range chunks {
		fmt.Fprint(w, c)
	}
	w.flush()
	return lines
}

func TestLineWriter(t *testing.T) {
	full := strings.Repeat("x", maxLine)
	tests := []struct {
		name   string
		chunks []string
		want   []string
	}{
		{"nothing", nil, nil},
		{"one line", []string{"a\n"}, []string{"a"}},
		{"no end", []string{"a\nb"}, []string{"a", "b"}},
		{"in pieces", []string{"a", "b\nc", "", "d\n\n"}, []string{"ab", "cd", ""}},
		{"carriage return", []string{"a\r\nb\rc\r\n"}, []string{"a", "b\rc"}},
		{"longest", []string{full, "\n"}, []string{full}},
		{"too long", []string{full, "yyy", "y\nz\n"}, []string{full + "✂", "z"}},
		{"too long in one piece", []string{full + full + full + "\nz"}, []string{full + "✂", "z"}},
		{"too long without an end", []string{full + "y"}, []string{full + "✂"}},
		{"NUL", []string{"a\x00b\n"}, []string{"a\x00b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, linesOf(test.chunks...)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// A line that never ends is passed on and takes no more memory.
func TestLineWriterEndlessLine(t *testing.T) {
	var got int
	w := &lineWriter{emit: func([]byte, bool) { got++ }}
	chunk := bytes.Repeat([]byte{'x'}, 32<<10)
	for range 100 {
		if n, err := w.Write(chunk); n != len(chunk) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if got != 1 || cap(w.buf) > 2*maxLine {
		t.Errorf("%d lines and a buffer of %d bytes, want one line and at most %d", got, cap(w.buf), 2*maxLine)
	}
}

// How the text is divided into writes does not matter.
func TestLineWriterPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunks := rapid.SliceOf(rapid.StringMatching(`[a\n\r]{0,8}`)).Draw(t, "chunks")
		text := strings.Join(chunks, "")
		var want []string
		if text != "" {
			for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
				want = append(want, strings.TrimSuffix(line, "\r"))
			}
		}
		if diff := cmp.Diff(want, linesOf(chunks...)); diff != "" {
			t.Fatalf("lines of %q (-want +got):\n%s", chunks, diff)
		}
	})
}
