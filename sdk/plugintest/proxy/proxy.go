// Package proxy is a TCP connection that goes wrong at will, for tests: between a client and a server on
// the loopback address it delays, throttles, cuts, or swallows everything without a word.
package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// T is what is needed of a testing.TB. A program that is not a test brings its own.
type T interface {
	Helper()
	Fatalf(format string, args ...any) // does not return
	Cleanup(func())
}

// Proxy passes on TCP connections. Its methods may be called concurrently.
type Proxy struct {
	Port int // on 127.0.0.1

	target   string
	listener net.Listener
	running  sync.WaitGroup
	passed   atomic.Int64

	mu     sync.Mutex
	faults faults
	links  map[*link]bool // nil = closed
}

// faults are what is wrong at present. The zero value is nothing.
type faults struct {
	delay  time.Duration
	rate   int           // bytes per second and direction; 0 = any
	black  chan struct{} // open while nothing passes; nil = everything does
	budget int64         // bytes to the target until all is cut; 0 = any
}

// Start listens on a port of its own and passes connections on to target, HOST:PORT, until the end of
// the test.
func Start(t T, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p := &Proxy{
		Port:     listener.Addr().(*net.TCPAddr).Port,
		target:   target,
		listener: listener,
		links:    map[*link]bool{},
	}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.Heal()
		p.mu.Lock()
		links := p.links
		p.links = nil
		p.mu.Unlock()
		for l := range links {
			l.cut()
		}
		p.running.Wait()
	})
	return p
}

// Delay passes each byte on only after a time.
func (p *Proxy) Delay(by time.Duration) { p.change(func(f *faults) { f.delay = by }) }

// Throttle passes on so many bytes per second in each direction, for each connection.
func (p *Proxy) Throttle(rate int) { p.change(func(f *faults) { f.rate = rate }) }

// Passed returns how many bytes were passed on until now, in both directions.
func (p *Proxy) Passed() int64 { return p.passed.Load() }

// BlackHole lets nothing through from now on, and closes nothing: neither side is told. New connections
// are accepted and hear nothing. What was sent meanwhile is passed on by Heal.
func (p *Proxy) BlackHole() {
	p.change(func(f *faults) {
		if f.black == nil {
			f.black = make(chan struct{})
		}
	})
}

// Heal ends everything that is wrong.
func (p *Proxy) Heal() {
	p.change(func(f *faults) {
		if f.black != nil {
			close(f.black)
		}
		*f = faults{}
	})
}

// Cut resets all connections. New ones work.
func (p *Proxy) Cut() {
	p.mu.Lock()
	links := p.links
	if links != nil {
		p.links = map[*link]bool{}
	}
	p.mu.Unlock()
	for l := range links {
		l.cut()
	}
}

// CutAfter resets all connections once so many more bytes have reached the target, in all.
func (p *Proxy) CutAfter(bytes int64) { p.change(func(f *faults) { f.budget = bytes }) }

func (p *Proxy) change(change func(*faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.faults)
}

func (p *Proxy) now() faults {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}

// accept serves connections until the listener is closed.
func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

func (p *Proxy) serve(client *net.TCPConn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		reset(client) // as if nobody listened
		return
	}
	l := &link{proxy: p, ends: [2]*net.TCPConn{client, server.(*net.TCPConn)}, gone: make(chan struct{})}
	p.mu.Lock()
	open := p.links != nil
	if open {
		p.links[l] = true
	}
	p.mu.Unlock()
	if !open {
		l.cut()
		return
	}
	l.run()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// spend takes bytes from the budget and returns how many may be passed on, and whether all is to be cut
// then.
func (p *Proxy) spend(n int) (allowed int, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &p.faults
	switch {
	case f.budget == 0:
		return n, false
	case int64(n) < f.budget:
		f.budget -= int64(n)
		return n, false
	}
	n = int(f.budget)
	f.budget = 0
	return n, true
}
