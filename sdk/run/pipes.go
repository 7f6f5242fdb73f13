package run

import (
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// pipes are the ends of a process's standard files and what is copied through them. os/exec has the
// same, but reaps the process before it is known whether descendants still use them.
type pipes struct {
	theirs []*os.File
	ours   []*os.File
	feed   func()        // copies standard input; nobody waits for it, for it may hang in the reader
	copies []func()      // of standard output and error
	copied chan struct{} // closed when all copies have ended
}

// connect sets the standard files of cmd. A nil stdin or stdout is the null device.
func (p *pipes) connect(cmd *exec.Cmd, stdin io.Reader, stdout, stderr io.Writer) error {
	p.copied = make(chan struct{})
	if stdin != nil {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		p.theirs, p.ours = append(p.theirs, r), append(p.ours, w)
		cmd.Stdin = r
		p.feed = func() {
			_, _ = io.Copy(w, stdin) // fails when the process reads no further
			_ = w.Close()
		}
	}
	for _, out := range []struct {
		to   io.Writer
		file *io.Writer
	}{{stdout, &cmd.Stdout}, {stderr, &cmd.Stderr}} {
		if file, ok := out.to.(*os.File); ok {
			*out.file = file
			continue
		}
		if out.to == nil {
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		p.theirs, p.ours = append(p.theirs, w), append(p.ours, r)
		*out.file = w
		p.copies = append(p.copies, func() { _, _ = io.Copy(out.to, r) })
	}
	return nil
}

// copy starts the copying.
func (p *pipes) copy() {
	if p.feed != nil {
		go p.feed()
	}
	var wg sync.WaitGroup
	for _, c := range p.copies {
		wg.Go(c)
	}
	go func() {
		wg.Wait()
		close(p.copied)
	}()
}

// wait returns when all is copied, or after the timeout; 0 means none.
func (p *pipes) wait(timeout time.Duration) {
	if timeout == 0 {
		<-p.copied
		return
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.copied:
	case <-timer.C:
	}
}

func (p *pipes) closeTheirs() { closeAll(p.theirs) }

// closeOurs also ends copies that are under way.
func (p *pipes) closeOurs() { closeAll(p.ours) }

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
