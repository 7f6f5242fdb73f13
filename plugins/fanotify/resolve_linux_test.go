package fanotify

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

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
