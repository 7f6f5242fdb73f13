package transfer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// A long transfer says once a minute how far it is, with the rate of that minute, and a report tells the same.
func TestProgressIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		done := make(chan struct{})
		f.transport.reply = func(context.Context, int, sdk.SyncRequest) (sdk.Result, error) {
			<-done
			return sdk.Result{Files: 1}, nil
		}
		tell := make(chan sdk.Progress)
		f.transport.during = tell
		f.Add(everything)
		for i := range uint64(181) {
			bytes := i * 1000
			if i > 60 {
				bytes = 60_000 + (i-60)*2000
			}
			tell <- sdk.Progress{Files: i, Bytes: bytes, Portion: float64(i) / 300}
			time.Sleep(time.Second)
		}
		if n := f.log.count("sending"); n != 3 {
			t.Errorf("%d lines", n)
		}
		for _, line := range []string{
			`files=60 bytes=60000 rate="1.0 kB/s" done="20%" left=4m0s`,
			`files=120 bytes=180000 rate="2.0 kB/s" done="40%" left=3m0s`,
			`files=180 bytes=300000 rate="2.0 kB/s" done="60%" left=2m0s`,
		} {
			if f.log.count(line) != 1 {
				t.Errorf("not logged: %s\n%s", line, f.log.b.String())
			}
		}
		if p, under := f.Progress(); !under || p != *f.Report().Progress || p.Files != 180 || p.Portion != 0.6 {
			t.Errorf("%+v, %v", p, under)
		}
		close(tell)
		close(done)
		synctest.Wait()
		if _, under := f.Progress(); under {
			t.Error("nothing is under way")
		}
	})
}
