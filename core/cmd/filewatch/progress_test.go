package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/core"
	"github.com/filewatch/filewatch/core/internal/status"
)

func TestProgressText(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	under := func(sync string, since time.Duration) core.UnderWay {
		return core.UnderWay{Sync: sync, Destination: "h:/d", Progress: status.Progress{Since: now.Add(-since), Files: 3, Bytes: 20_000_000, Portion: 0.5}}
	}
	all := []core.UnderWay{under("new", time.Second), under("site", 10*time.Second), under("bad\x1b[2J\n", time.Minute)}
	want := []string{
		"site → h:/d: 3 files and 20.0 MB in 10s, 2.0 MB/s, 50% done, about 10s left",
		`"bad\x1b[2J\n" → h:/d: 3 files and 20.0 MB in 1m, 333.3 kB/s, 50% done, about 1m left`,
	}
	if diff := cmp.Diff(want, progressText(all, now, 200, 50)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := progressText(all, now, 20, 2); len(got) != 1 || got[0] != "… +2" {
		t.Errorf("%q", got)
	}
	for _, line := range progressText(all, now, 20, 50) {
		if utf8.RuneCountInString(line) >= 20 {
			t.Errorf("%q", line)
		}
	}
}

// terminalOf returns what a terminal shows that was sent text: lines, the sequences that are in use, no more.
func terminalOf(text string) string {
	lines := []string{""}
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b[J"):
			lines = append(lines[:len(lines)-1], "")
			text = text[3:]
		case strings.HasPrefix(text, "\x1b[1A"), strings.HasPrefix(text, "\x1b[2A"):
			lines = lines[:len(lines)-int(text[2]-'0')]
			text = text[4:]
		case text[0] == '\r':
			text = text[1:]
		case text[0] == '\n':
			lines = append(lines, "")
			text = text[1:]
		default:
			lines[len(lines)-1] += text[:1]
			text = text[1:]
		}
	}
	return strings.Join(lines, "\n")
}

// What is logged stays above the lines, whole and in order, and nothing of the lines is left at the end.
func TestProgressLines(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := &progressLines{to: &out}
	write := func(text string) {
		if n, err := l.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	l.show(nil)
	write("one\n")
	l.show([]string{"a: 1", "b: 1"})
	write("two\nthree\n")
	l.show([]string{"b: 2"})
	if got := terminalOf(out.String()); got != "one\ntwo\nthree\nb: 2\n" {
		t.Errorf("%q", got)
	}
	write("four\n")
	l.show(nil)
	write("five\n")
	if got := terminalOf(out.String()); got != "one\ntwo\nthree\nfour\nfive\n" {
		t.Errorf("%q", got)
	}
}
