package events

import (
	"bytes"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pipe returns a queue of what is written to w.
func pipe(t *testing.T, limit int) (q *Queue, w *os.File, file *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	file, w = os.NewFile(uintptr(fds[0]), "read"), os.NewFile(uintptr(fds[1]), "write")
	t.Cleanup(func() { w.Close(); file.Close() })
	return NewQueue(file, limit, nil), w, file
}

func write(t *testing.T, w *os.File, data string) {
	t.Helper()
	if _, err := w.WriteString(data); err != nil {
		t.Fatal(err)
	}
}

// What was there before a pull is in the queue after it, whether the reader runs or not.
func TestPull(t *testing.T) {
	q, w, _ := pipe(t, 1<<20)
	if at := q.Pull(); at != 0 {
		t.Errorf("position %d", at)
	}
	write(t, w, "one")
	if at := q.Pull(); at != 3 {
		t.Errorf("position %d", at)
	}
	var got bytes.Buffer
	take := func() {
		buf, lost, err := q.Take(nil)
		if lost || err != nil {
			t.Fatalf("lost %t, %v", lost, err)
		}
		got.Write(buf)
	}
	take()
	go q.Run()
	want := uint64(3)
	for range 1000 {
		write(t, w, "four")
		want += 4
		if at := q.Pull(); at != want {
			t.Fatalf("position %d, want %d", at, want)
		}
		take()
		if uint64(got.Len()) != want {
			t.Fatalf("got %d bytes, want %d", got.Len(), want)
		}
	}
}

// Past the limit all is dropped until the rest is taken, and a position does not count it.
func TestLimit(t *testing.T) {
	q, w, _ := pipe(t, 10)
	write(t, w, "12345678")
	q.Pull()
	write(t, w, "too much")
	if at := q.Pull(); at != 8 {
		t.Errorf("position %d", at)
	}
	write(t, w, "9")
	q.Pull()
	if buf, lost, err := q.Take(nil); string(buf) != "12345678" || !lost || err != nil {
		t.Errorf("got %q, %t, %v", buf, lost, err)
	}
	write(t, w, "after")
	if at := q.Pull(); at != 13 {
		t.Errorf("position %d", at)
	}
	if buf, lost, err := q.Take(nil); string(buf) != "after" || lost || err != nil {
		t.Errorf("got %q, %t, %v", buf, lost, err)
	}
}

func TestRunEnds(t *testing.T) {
	q, _, file := pipe(t, 10)
	var wg sync.WaitGroup
	wg.Go(q.Run)
	file.Close()
	wg.Wait()
	if _, _, err := q.Take(nil); err != nil {
		t.Errorf("closed: %v", err)
	}
	q.Pull()

	q, w, _ := pipe(t, 10)
	wg.Go(q.Run)
	w.Close()
	wg.Wait()
	select {
	case <-q.Ready:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was told")
	}
	if _, _, err := q.Take(nil); err == nil {
		t.Error("the end of the file is no error")
	}
}
