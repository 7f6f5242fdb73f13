package proxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proxy"
)

// patience bounds failures only.
const patience = 10 * time.Second

// echo is a server that sends everything back, and what it has got.
type echo struct {
	address string
	mu      sync.Mutex
	got     bytes.Buffer
	ends    chan error // how each connection ended
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{address: listener.Addr().String(), ends: make(chan error, 10)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_, err := io.Copy(c, io.TeeReader(c, e))
				e.ends <- err
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); wg.Wait() })
	return e
}

func (e *echo) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.got.Write(p)
}

func (e *echo) len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.got.Len()
}

// dial connects through the proxy until the end of the test.
func dial(t *testing.T, p *proxy.Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c net.Conn, text string) {
	t.Helper()
	buf := make([]byte, len(text))
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != text {
		t.Fatalf("got %q, %v; want %q", buf, err, text)
	}
}

func within(t *testing.T, what string, ends <-chan error) error {
	t.Helper()
	select {
	case err := <-ends:
		return err
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
		return nil
	}
}

func TestPassesOn(t *testing.T) {
	e := startEcho(t)
	p := proxy.Start(t, e.address)
	a, b := dial(t, p), dial(t, p)
	send(t, a, "one")
	send(t, b, "two")
	expect(t, b, "two")
	expect(t, a, "one")
	// The end of one direction is passed on, and the other still works.
	send(t, a, "last")
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := within(t, "the end", e.ends); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(a); err != nil || string(rest) != "last" {
		t.Errorf("%q, %v", rest, err)
	}
	// A byte is counted right after it was passed on.
	want := int64(2 * len("onetwolast"))
	for deadline := time.Now().Add(patience); p.Passed() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes passed, want %d", p.Passed(), want)
		}
	}
}

func TestDelayAndThrottle(t *testing.T) {
	p := proxy.Start(t, startEcho(t).address)
	c := dial(t, p)
	took := func(text string) time.Duration {
		began := time.Now()
		send(t, c, text)
		expect(t, c, text)
		return time.Since(began)
	}
	p.Delay(30 * time.Millisecond)
	if d := took("x"); d < 60*time.Millisecond {
		t.Errorf("there and back in %v", d)
	}
	p.Heal()
	p.Throttle(100_000)
	if d := took(string(make([]byte, 10_000))); d < 100*time.Millisecond {
		t.Errorf("10,000 bytes in %v", d)
	}
	p.Heal()
	took(string(make([]byte, 1_000_000)))
}

// Much is on its way at a time where it takes long.
func TestDelayLetsMuchThrough(t *testing.T) {
	e := startEcho(t)
	p := proxy.Start(t, e.address)
	c := dial(t, p)
	p.Delay(patience / 20)
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	const size = 2 << 20 // of which a few chunks at a time would take minutes
	go func() { _, _ = c.Write(make([]byte, size)) }()
	if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
		t.Error(err)
	}
}

func TestBlackHole(t *testing.T) {
	e := startEcho(t)
	p := proxy.Start(t, e.address)
	old := dial(t, p)
	send(t, old, "before")
	expect(t, old, "before")
	p.BlackHole()
	p.BlackHole() // twice is once
	fresh := dial(t, p)
	for _, c := range []net.Conn{old, fresh} {
		send(t, c, "swallowed")
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
	}
	if n := e.len(); n != len("before") {
		t.Errorf("%d bytes reached the target", n)
	}
	// Nor is the target told that somebody has gone.
	gone := dial(t, p)
	_ = gone.Close()
	select {
	case err := <-e.ends:
		t.Errorf("the target was told of an end: %v", err)
	default:
	}
	p.Heal()
	expect(t, old, "swallowed")
	expect(t, fresh, "swallowed")
	_ = within(t, "the end of the one that has gone", e.ends)
}

func TestCut(t *testing.T) {
	e := startEcho(t)
	p := proxy.Start(t, e.address)
	c := dial(t, p)
	send(t, c, "x")
	expect(t, c, "x")
	p.Cut()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client: %v", err)
	}
	if err := within(t, "the end", e.ends); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the target: %v", err)
	}
	c = dial(t, p)
	send(t, c, "again")
	expect(t, c, "again")
}

func TestCutAfter(t *testing.T) {
	e := startEcho(t)
	p := proxy.Start(t, e.address)
	c := dial(t, p)
	p.CutAfter(40_000)
	// What is on its way back when the connection is cut is lost.
	_, _ = c.Write(make([]byte, 100_000))
	_, err := io.Copy(io.Discard, c)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client: %v", err)
	}
	if err := within(t, "the end", e.ends); err == nil {
		t.Error("the target was told of an end")
	}
	if n := e.len(); n > 40_000 {
		t.Errorf("%d bytes reached the target", n)
	}
	c = dial(t, p)
	send(t, c, "again")
	expect(t, c, "again")
}

func TestNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	p := proxy.Start(t, address)
	// The reset may come before the connection is reported to be there.
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.Port))
	if err == nil {
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
}
