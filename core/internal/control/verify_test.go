package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
)

type verifyFunc = func(ctx context.Context, name string, repair bool, found func(string, sdk.Difference)) error

func TestVerify(t *testing.T) {
	verify := func(_ context.Context, name string, repair bool, found func(string, sdk.Difference)) error {
		found("h1:/a", sdk.Difference{Path: "a b", Kind: sdk.Missing})
		found("h2:/a", sdk.Difference{Path: " \n\xff", Kind: sdk.Extra})
		found("h2:/a", sdk.Difference{Kind: sdk.Different})
		if name != "two" || !repair {
			return errors.New("1 path could not be sent")
		}
		return nil
	}
	_, c, _ := serve(t, &fake{verify: verify})
	for _, repair := range []bool{true, false} {
		var got []Difference
		err := c.Verify(t.Context(), "two", repair, func(d Difference) { got = append(got, d) })
		if repair != (err == nil) || err != nil && err.Error() != "1 path could not be sent" {
			t.Error(err)
		}
		want := []Difference{{"h1:/a", "missing", "a b"}, {"h2:/a", "extra", `" \n\xff"`}, {"h2:/a", "different", "."}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if err := c.Verify(t.Context(), "three", false, nil); err == nil || !strings.Contains(err.Error(), "no sync") {
		t.Error(err)
	}
}

func TestVerifyTellsAsItFinds(t *testing.T) {
	seen := make(chan struct{})
	_, c, _ := serve(t, &fake{verify: func(ctx context.Context, _ string, _ bool, found func(string, sdk.Difference)) error {
		found("h", sdk.Difference{Path: "a"})
		select {
		case <-seen:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Verify(ctx, "one", false, func(Difference) { close(seen) }); err != nil {
		t.Error(err)
	}
}

func TestVerifyThatIsCutOffIsAnError(t *testing.T) {
	_, c, _ := serve(t, &fake{verify: func(_ context.Context, _ string, _ bool, found func(string, sdk.Difference)) error {
		found("h", sdk.Difference{Path: "a"})
		panic("as a daemon that dies")
	}})
	n := 0
	err := c.Verify(t.Context(), "one", false, func(Difference) { n++ })
	if err == nil || !strings.Contains(err.Error(), "before the comparison was complete") || n != 1 {
		t.Error(n, err)
	}
}

// endless finds differences until ctx ends, and then sends to the channel.
func endless(ended chan<- struct{}) verifyFunc {
	return func(ctx context.Context, _ string, _ bool, found func(string, sdk.Difference)) error {
		for i := 0; ctx.Err() == nil; i++ {
			found("h", sdk.Difference{Path: fmt.Sprint("file ", i)})
		}
		ended <- struct{}{}
		return ctx.Err()
	}
}

func TestClientThatHangsUpEndsVerify(t *testing.T) {
	ended := make(chan struct{}, 1)
	_, c, _ := serve(t, &fake{verify: endless(ended)})
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Verify(ctx, "one", false, func(Difference) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	within(t, "the end of the comparison", ended)
}

func TestClientThatDoesNotReadEndsVerifyOnly(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	_, c, path := serve(t, &fake{verify: endless(ended)})
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /v1/verify?sync=one HTTP/1.1\r\nHost: filewatch\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	for over := false; !over; {
		if _, err := c.Status(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
			over = true
		case <-time.After(100 * time.Millisecond):
		}
		if time.Since(started) > patience {
			t.Fatal("timed out waiting for the end of the comparison")
		}
	}
}

func TestSlowTerminalDoesNotHoldVerify(t *testing.T) {
	const all = 100_000
	done := make(chan struct{})
	_, c, _ := serve(t, &fake{verify: func(_ context.Context, _ string, _ bool, found func(string, sdk.Difference)) error {
		defer close(done)
		for i := range all {
			found("h", sdk.Difference{Path: fmt.Sprint("file ", i)})
		}
		return nil
	}})
	n := 0
	if err := c.Verify(t.Context(), "one", false, func(Difference) {
		if n == 0 {
			within(t, "the comparison", done)
		}
		n++
	}); err != nil || n != all {
		t.Error(n, err)
	}
}

func TestFoundConcurrentlyAndTooLate(t *testing.T) {
	late := make(chan func(string, sdk.Difference), 1)
	_, c, _ := serve(t, &fake{verify: func(_ context.Context, _ string, _ bool, found func(string, sdk.Difference)) error {
		done := make(chan struct{})
		for i := range 10 {
			go func() {
				for range 100 {
					found(fmt.Sprint("h", i), sdk.Difference{Path: "a"})
				}
				done <- struct{}{}
			}()
		}
		for range 10 {
			<-done
		}
		late <- found
		return nil
	}})
	n := 0
	if err := c.Verify(t.Context(), "one", false, func(Difference) { n++ }); err != nil || n != 1000 {
		t.Error(n, err)
	}
	(<-late)("h", sdk.Difference{Path: "a"}) // is left out
}

// TestAnyCutIsNoticed: no part of an answer passes for a whole one.
func TestAnyCutIsNoticed(t *testing.T) {
	const all = `{"destination":"h","kind":"missing","path":"\"a\\n\""}` + "\n" + `{"end":true}`
	for end := range len(all) {
		if err := readLines(strings.NewReader(all[:end]), func(Difference) {}); err == nil {
			t.Errorf("%q is taken for complete", all[:end])
		}
	}
	if err := readLines(strings.NewReader(all), func(Difference) {}); err != nil {
		t.Error(err)
	}
}
