package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/filewatch/filewatch/core"
	"github.com/filewatch/filewatch/core/internal/status"
)

const (
	// progressEvery is how often the lines at the end of the terminal are drawn.
	progressEvery = time.Second
	// progressFrom is how long a transfer takes before it gets one: most are over, and what flickers is no help.
	progressFrom = 2 * time.Second
)

// progressLines writes to a terminal whose last lines show what is under way; all else goes above them. What is
// written ends with whole lines.
type progressLines struct {
	to io.Writer

	mu    sync.Mutex // guards lines, and the order on the terminal
	lines []string   // shown at present
}

// Write implements io.Writer.
func (l *progressLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == 0 {
		return l.to.Write(p)
	}
	_, err := io.WriteString(l.to, l.clear()+string(p)+l.text())
	return len(p), err
}

// show replaces the lines.
func (l *progressLines) show(lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(lines) == 0 && len(l.lines) == 0 {
		return
	}
	clear := l.clear()
	l.lines = lines
	_, _ = io.WriteString(l.to, clear+l.text()) // the terminal may be gone; the log goes on
}

// clear returns what removes the lines.
func (l *progressLines) clear() string {
	if len(l.lines) == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", len(l.lines))
}

func (l *progressLines) text() string {
	if len(l.lines) == 0 {
		return ""
	}
	return strings.Join(l.lines, "\n") + "\n"
}

// follow shows what is under way until ctx ends, and nothing after.
func (l *progressLines) follow(ctx context.Context, underWay func() []core.UnderWay) {
	defer l.show(nil)
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			columns, rows, ok := terminalSize(l.to)
			if ok {
				l.show(progressText(underWay(), now, columns, rows))
			}
		}
	}
}

// progressText returns a line for each transfer that has been under way for a while, as many as half of the terminal holds.
func progressText(all []core.UnderWay, now time.Time, columns, rows int) []string {
	var lines []string
	for _, u := range all {
		if now.Sub(u.Since) >= progressFrom {
			lines = append(lines, cut(status.Quote(u.Sync)+" → "+status.Quote(u.Destination)+": "+u.Text(now), columns-1))
		}
	}
	if room := max(rows/2, 1); len(lines) > room {
		lines = append(lines[:room-1:room-1], fmt.Sprintf("… +%d", len(lines)-room+1))
	}
	return lines
}
