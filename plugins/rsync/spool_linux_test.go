package rsync

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk/run"
)

// buffer may be written to and looked at concurrently.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// All that a process writes is passed on, while it runs and at its end, and takes up no memory then.
func TestSpool(t *testing.T) {
	t.Parallel()
	var out buffer
	s := newSpool(&out)
	stdin, more := io.Pipe()
	p, err := run.Start(t.Context(), run.Command{
		Path: "sh", Args: []string{"-c", "seq 300000; read line; echo $line; exec false"}, Stdin: stdin, Stdout: s.stdout(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var following sync.WaitGroup
	following.Go(func() { s.follow(p.Done()) })
	var want bytes.Buffer
	for i := range 300000 {
		fmt.Fprintln(&want, i+1)
	}
	eventually(t, "what was written before the end", func() bool { return out.String() == want.String() })
	eventually(t, "memory given back", func() bool {
		var st unix.Stat_t
		if err := unix.Fstat(int(s.file.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks*512 <= int64(unix.Getpagesize())
	})
	fmt.Fprintln(more, "the end")
	p.Wait()
	following.Wait()
	if got := out.String(); got != want.String()+"the end\n" {
		t.Errorf("%d bytes, want %d", len(got), want.Len()+8)
	}
	if err := s.file.Close(); err == nil {
		t.Error("the file was left open")
	}
}

// Without such a file a pipe does.
func TestSpoolWithoutFile(t *testing.T) {
	t.Parallel()
	var out buffer
	s := &spool{to: &out}
	exit, err := run.Run(t.Context(), run.Command{Path: "echo", Args: []string{"line"}, Stdout: s.stdout()})
	if err != nil || !exit.OK() || out.String() != "line\n" {
		t.Errorf("%v, %v, %q", exit, err, out.String())
	}
	s.follow(nil)
}
