package fanotify

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestPersist: what is being removed for long is gone, and nothing that would have all be compared. Memory that is
// lacking for good is told.
func TestPersist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		removed := time.Now().Add(100 * time.Millisecond)
		_, err := persist(func() (int, error) {
			if time.Now().Before(removed) {
				return -1, unix.ENOMEM
			}
			return -1, unix.ESTALE
		})
		if err != unix.ESTALE {
			t.Errorf("a removal that takes 100 ms: %v", err)
		}
		start := time.Now()
		if _, err := persist(func() (int, error) { return -1, unix.ENOMEM }); err != unix.ENOMEM {
			t.Errorf("no memory: %v", err)
		}
		if waited := time.Since(start); waited > time.Second {
			t.Errorf("waited for %v", waited)
		}
	})
}

// TestCacheIsBounded: paths are forgotten before they take more memory than they may.
func TestCacheIsBounded(t *testing.T) {
	for _, length := range []int{0, 20, 4000} {
		c := cache{places: make(map[string][]place)}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range 200000 {
			var places []place
			if length > 0 {
				places = []place{{path: strings.Repeat("x", length)}}
			}
			c.put(fmt.Sprintf("fsid....sizetype%08d", i), places)
			if c.size > maxCache {
				t.Fatalf("%d bytes in %d places", c.size, len(c.places))
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		if used > 3*maxCache {
			t.Errorf("paths of %d bytes: %d places take %d bytes", length, len(c.places), used)
		}
		t.Logf("paths of %d bytes: %d places, counted %d, used %d", length, len(c.places), c.size, used)
		runtime.KeepAlive(c)
	}
}
