package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunkSize = 16 << 10
	// chunks is how many chunks are on their way in one direction, as in the buffers of a slow line.
	chunks = 4
	// maxChunks is as many as TCP lets be under way on a long one by default (net.ipv4.tcp_wmem in tcp(7)), so
	// that it is the delay which is felt and not what fits in it.
	maxChunks = 4 << 20 / chunkSize
)

// link is one connection with its two ends: the client's and the server's.
type link struct {
	proxy *Proxy
	ends  [2]*net.TCPConn
	once  sync.Once
	gone  chan struct{} // closed when it is cut
}

// chunk is what was read at a time. The empty one is the end.
type chunk struct {
	data []byte
	read time.Time
}

// run passes everything on until both sides have ended.
func (l *link) run() {
	var wg sync.WaitGroup
	for from := range l.ends {
		queue := make(chan chunk, maxChunks)
		wg.Go(func() { l.read(l.ends[from], queue) })
		wg.Go(func() { l.write(l.ends[1-from], queue, from == 0) })
	}
	wg.Wait()
	for _, end := range l.ends {
		_ = end.Close()
	}
}

// cut resets both sides.
func (l *link) cut() {
	l.once.Do(func() {
		close(l.gone)
		for _, end := range l.ends {
			reset(end)
		}
	})
}

// room is how many chunks may be on their way in one direction.
func (f faults) room() int {
	if f.delay > 0 && f.rate == 0 {
		return maxChunks
	}
	return chunks
}

// reset closes a connection so that the other side gets an error rather than an end.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

func (l *link) read(from io.Reader, queue chan<- chunk) {
	defer close(queue)
	for {
		buf := make([]byte, chunkSize)
		n, err := from.Read(buf)
		if n > 0 {
			c := chunk{buf[:n], time.Now()}
			for len(queue) >= l.proxy.now().room() {
				if !l.pause(time.Millisecond) {
					return
				}
			}
			queue <- c // it has no other writer
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			l.cut()
			return
		}
	}
}

func (l *link) write(to *net.TCPConn, queue <-chan chunk, counts bool) {
	for c := range queue {
		for data := c.data; len(data) > 0; {
			f := l.proxy.now()
			n := len(data)
			if f.rate > 0 {
				n = min(n, max(1, f.rate/20)) // a twentieth of a second's at a time
			}
			wait := time.Until(c.read.Add(f.delay))
			if f.rate > 0 {
				wait = max(wait, time.Duration(n)*time.Second/time.Duration(f.rate))
			}
			if !l.pause(wait) || !l.passable() {
				return
			}
			cut := false
			if counts {
				n, cut = l.proxy.spend(n)
			}
			if _, err := to.Write(data[:n]); err != nil {
				l.cut()
				return
			}
			l.proxy.passed.Add(int64(n))
			if cut {
				l.proxy.Cut()
				return
			}
			data = data[n:]
		}
	}
	if l.passable() {
		_ = to.CloseWrite()
	}
}

// pause waits, unless the link is cut first.
func (l *link) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-l.gone:
		return false
	}
}

// passable waits while nothing passes. It returns false when the link is cut.
func (l *link) passable() bool {
	for {
		f := l.proxy.now()
		if f.black == nil {
			return true
		}
		select {
		case <-f.black:
		case <-l.gone:
			return false
		}
	}
}
