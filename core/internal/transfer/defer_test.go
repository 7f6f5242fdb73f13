package transfer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// What a call has left out, because it may have been moved there, is neither in step nor forgotten: it waits for what
// is known about it then.
func TestDeferredWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := start(t, func(_ context.Context, _ int, req sdk.SyncRequest) (sdk.Result, error) {
			if full := req.Changes[0].Path == ""; req.MayDefer == full {
				t.Errorf("may be left out: %v of %v", req.MayDefer, req.Changes)
			}
			if len(req.Changes) == 1 && req.Changes[0].Path == "n" {
				<-release
				return sdk.Result{Deferred: []string{"n/a", "n/b"}}, nil
			}
			return sdk.Result{}, nil
		})
		f.Add(sdk.Change{Path: "n", Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate | sdk.OpClose})
		synctest.Wait()
		f.Add(sdk.Change{Path: "a", Ops: sdk.OpRemove | sdk.OpRename})
		f.Add(sdk.Change{Path: "n/a", Scope: sdk.ScopeSubtree, Ops: sdk.OpCreate | sdk.OpRename | sdk.OpClose, From: "a"})
		close(release)
		time.Sleep(time.Second)
		equal(t, f.transport.paths(), [][]string{{"n/"}, {"a", "n/a/", "n/b/"}})
		if c := f.transport.last().Changes[1]; c.From != "a" || c.Scope != sdk.ScopeSubtree {
			t.Errorf("%+v", c)
		}
		if n := f.log.count("in sync"); n != 1 || !f.empty() {
			t.Errorf("in sync was said %d times", n)
		}
		f.Add(everything)
		synctest.Wait()
	})
}
