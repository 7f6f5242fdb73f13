package guard

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filewatch/filewatch/core/internal/answer"
)

// hanging is a Looker that sees nothing before its time.
type hanging struct {
	until time.Time
	looks atomic.Int32
}

func (h *hanging) Look(string, func(string, bool) bool) (Sight, error) {
	h.looks.Add(1)
	time.Sleep(time.Until(h.until))
	return Sight{Identity: Identity{Inode: 7}}, nil
}

func (h *hanging) Mounted(Path) bool { return true }

// A source that does not answer is held, whoever asks gets that answer soon, and it is looked at anew when it
// answers again.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{}
		g := Open(Config{Sync: "s", Root: "/source", Look: &patient{Looker: h}})
		if err := g.Check(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		h.until = began.Add(time.Hour)
		for i := range 20 {
			err := g.Check()
			hold, ok := errors.AsType[*Hold](err)
			if !ok || hold.Kind != Unreadable {
				t.Fatalf("look %d: %v", i, err)
			}
		}
		if took := time.Since(began); took > answer.Time || h.looks.Load() != 2 {
			t.Errorf("20 looks took %v, %d were begun", took, h.looks.Load()-1)
		}
		time.Sleep(time.Until(h.until) + 1)
		synctest.Wait()
		if err := g.Check(); err != nil || h.looks.Load() != 3 {
			t.Errorf("once it answers: %v, %d looks", err, h.looks.Load())
		}
	})
}

// A destination that does not answer is away, and not entered.
func TestPlaceWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{}
		p := &Place{path: "/destination", look: &patient{Looker: h}}
		for _, until := range []time.Duration{0, time.Hour, 0} {
			h.until = time.Now().Add(until)
			leave, _, err := p.Enter()
			if errors.Is(err, answer.Err) != (until > 0) {
				t.Errorf("hanging for %v: %v", until, err)
			}
			leave()
			time.Sleep(until + 1)
			synctest.Wait()
		}
	})
}
