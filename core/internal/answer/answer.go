// Package answer bounds the wait for file systems that somebody else serves. When a server is gone, or a FUSE
// process hangs, a system call that looks there may not return for as long as that lasts, and nothing ends it.
package answer

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Time is how long one waits for an answer. A disk that has to start up may take longer; it is looked at again.
// Who asks for the status waits for 10 s.
const Time = 5 * time.Second

// Err is matched by the error of a look that has had no answer.
var Err = errors.New("there is no answer")

// Paths knows what does not answer. The zero Paths is ready to use. It is safe for concurrent use.
type Paths struct {
	mu     sync.Mutex
	oldest map[string]*look // of each path, of those that have not ended
}

type look struct{ began time.Time }

// Within returns what ask returns, which looks at path, or an error that matches Err when that takes longer than
// Time. Then ask goes on, on a thread of its own, and what it returns is dropped. While a look at the path has
// had no answer for that long, no other is begun.
func Within[T any](p *Paths, path string, ask func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	own := &look{time.Now()}
	oldest := p.begin(path, own)
	var none T
	noAnswer := fmt.Errorf("%w since %s", Err, oldest.began.Format(time.DateTime))
	left := Time - time.Since(oldest.began)
	if left <= 0 {
		return none, noAnswer
	}
	results := make(chan result, 1)
	go func() {
		value, err := ask()
		p.end(path, own)
		results <- result{value, err}
	}()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case r := <-results:
		return r.value, r.err
	case <-timer.C:
		return none, noAnswer
	}
}

// begin returns the oldest look at a path, which is own if there is no other.
func (p *Paths) begin(path string, own *look) *look {
	p.mu.Lock()
	defer p.mu.Unlock()
	if oldest := p.oldest[path]; oldest != nil {
		return oldest
	}
	if p.oldest == nil {
		p.oldest = map[string]*look{}
	}
	p.oldest[path] = own
	return own
}

func (p *Paths) end(path string, own *look) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.oldest[path] == own {
		delete(p.oldest, path)
	}
}
