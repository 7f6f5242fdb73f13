package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// terminalSize returns the size of the terminal that w is, if it is one that tells.
func terminalSize(w io.Writer) (columns, rows int, ok bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0, false
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 0, 0, false
	}
	return int(size.Col), int(size.Row), true
}

// screen returns what makes a terminal show the lines of text instead of what it shows. What does not fit is
// left out, and counted: a line that the terminal had to wrap or scroll would spoil the next screen.
func screen(text string, columns, rows int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if room := max(rows-1, 1); len(lines) > room {
		lines = append(lines[:room-1:room-1], fmt.Sprintf("… +%d lines", len(lines)-room+1))
	}
	var b strings.Builder
	b.WriteString("\x1b[H") // to the upper left corner
	for _, line := range lines {
		b.WriteString(cut(line, columns))
		b.WriteString("\x1b[K\n") // clears the rest of the line
	}
	b.WriteString("\x1b[J") // and all below
	return b.String()
}

// cut returns as much of a line as fits.
func cut(line string, columns int) string {
	if utf8.RuneCountInString(line) <= columns {
		return line
	}
	return string([]rune(line)[:max(columns-1, 0)]) + "…"
}

// whenClosed calls f once nobody reads what is written to w, if that can be known. A pipe whose reader is
// gone would else be noticed by the next write only.
func whenClosed(w io.Writer, f func()) {
	file, ok := w.(*os.File)
	if !ok {
		return
	}
	// It waits until the process ends if w is never closed.
	go func() {
		fds := []unix.PollFd{{Fd: int32(file.Fd())}} // errors are told unasked, poll(2)
		for {
			n, err := unix.Poll(fds, -1)
			if n > 0 {
				f()
			}
			if err != unix.EINTR {
				return
			}
		}
	}()
}
