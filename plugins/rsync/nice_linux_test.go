package rsync

import (
	"context"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

// What sends a large file beside other calls has a lower priority than those.
func TestLargeFilesYield(t *testing.T) {
	t.Parallel()
	for _, beside := range []bool{false, true} {
		f := local(t)
		req := f.req
		req.Changes, req.Beside = []sdk.Change{f.slow()}, beside
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = f.tr.Sync(ctx, req, func(sdk.Progress) {}) }) // it is not to end
		for _, pid := range f.transferring(f.dst + "/") {
			priority, err := unix.Getpriority(unix.PRIO_PROCESS, pid)
			f.must(err)
			if nice := 20 - priority; (nice > 0) != beside { // as the system call returns it
				t.Errorf("beside others %t: a process at nice %d", beside, nice)
			}
		}
		cancel()
		wg.Wait()
	}
}
