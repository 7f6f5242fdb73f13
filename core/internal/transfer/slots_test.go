package transfer

import (
	"context"
	"testing"
	"testing/synctest"
)

// take takes a slot in the background, and tells whether it has it.
func take(t *testing.T, s *Slots, bulk bool) (has func() bool, leave func()) {
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan func(), 1)
	go func() { got <- s.take(ctx, bulk, func(bool) {}) }()
	synctest.Wait()
	var back func()
	has = func() bool {
		synctest.Wait()
		select {
		case back = <-got:
		default:
		}
		return back != nil
	}
	return has, func() {
		if has() {
			back()
		}
		cancel()
		synctest.Wait()
	}
}

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSlots(2)
		bulk, leaveBulk := take(t, s, true)
		more, leaveMore := take(t, s, true)
		if !bulk() || more() {
			t.Fatalf("what takes long has %v and %v, want one of the two slots", bulk(), more())
		}
		small, leaveSmall := take(t, s, false)
		if !small() {
			t.Error("a small one waits behind what takes long")
		}
		next, leaveNext := take(t, s, false)
		last, leaveLast := take(t, s, false)
		gone, leaveGone := take(t, s, false)
		leaveGone() // gives up waiting
		leaveSmall()
		if !next() || last() || more() {
			t.Error("not in the order of their coming")
		}
		leaveBulk()
		if !more() || last() {
			t.Error("what takes long waits for ever")
		}
		leaveNext()
		leaveMore()
		if !last() || gone() {
			t.Error("a slot is lost")
		}
		leaveLast()
		s.Set(0)
		for range 10 {
			if has, _ := take(t, s, true); !has() {
				t.Error("0 is a limit")
			}
		}
	})
}

func TestOneSlotIsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSlots(1)
		bulk, leave := take(t, s, true)
		small, leaveSmall := take(t, s, false)
		if !bulk() || small() {
			t.Error("not one at a time")
		}
		leave()
		if !small() {
			t.Error("the slot is lost")
		}
		leaveSmall()
	})
}
