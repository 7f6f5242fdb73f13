package rsync

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// stuckInterval is how often a running rsync is looked at. Opening a file never takes that long twice.
const stuckInterval = time.Second

// stuck watches a process and returns true when it hangs for good, false when done is closed. Each time it looks it
// calls look, too.
//
// rsync that opens a file which has just become a FIFO waits for a writer, forever: its own timeout
// does not cover that. The kernel shows what a process waits for in /proc/PID/wchan, and where that is
// hidden, /proc/PID/io stands still for much longer than rsync's own timeout allows.
func stuck(pid int, timeout time.Duration, done <-chan struct{}, look func()) bool {
	ticker := time.NewTicker(stuckInterval)
	defer ticker.Stop()
	proc := "/proc/" + strconv.Itoa(pid) + "/"
	inFIFO := 0
	io, since := "", time.Now()
	for {
		select {
		case <-done:
			return false
		case <-ticker.C:
			look()
		}
		if read(proc+"wchan") != "wait_for_partner" {
			inFIFO = 0
		} else if inFIFO++; inFIFO == 2 {
			return true
		}
		if now := read(proc + "io"); now != io || now == "" {
			io, since = now, time.Now()
		} else if time.Since(since) > 2*timeout {
			return true
		}
	}
}

// read returns the text of a file in /proc, "" when there is none.
func read(file string) string {
	text, _ := readErr(file)
	return text
}

func readErr(file string) (string, error) {
	b, err := os.ReadFile(file)
	return strings.TrimSpace(string(b)), err
}
