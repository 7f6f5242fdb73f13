package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
)

func dialer(path string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return connect(ctx, path) }
}

func TestRequests(t *testing.T) {
	d := &fake{
		flush: func(context.Context, string) error { return nil },
		act:   func(string, string) error { return errors.New("h:/a: is away") },
	}
	_, _, path := serve(t, d)
	d.verify = func(context.Context, string, bool, func(string, sdk.Difference)) error { return errors.New("away") }
	client := &http.Client{Transport: &http.Transport{DialContext: dialer(path), DisableKeepAlives: true}}
	for _, test := range []struct {
		method, path string
		want         int
		text         string
	}{
		{"GET", "/v1/status", 200, `"state_dir":"/state"`},
		{"GET", "/v1/status?sync=one", 200, `"syncs":[{"name":"one"`},
		{"GET", "/v1/status?sync=oen", 404, `there is no sync \"oen\"; did you mean \"one\"? (there are: one, two)`},
		{"GET", "/v1/status?sync=%00%1b%5b2J%ff%0a", 404, `there is no sync \"\\x00\\x1b[2J\\xff\\n\" (there are: one, two)`},
		{"GET", "/v1/flush", 405, ""},
		{"POST", "/v1/status", 405, ""},
		{"GET", "/v1/other", 404, ""},
		{"GET", "/", 404, ""},
		{"POST", "/v1/flush", 200, "{}"},
		{"POST", "/v1/flush?sync=three", 404, "no sync"},
		{"POST", "/v1/flush?timeout=x", 400, "not a duration"},
		{"POST", "/v1/flush?timeout=-1s", 400, "not a duration"},
		{"POST", "/v1/flush?timeout=0s", 400, "not a duration"},
		{"POST", "/v1/pause", 400, "name of a sync is missing"},
		{"POST", "/v1/pause?sync=three", 404, "no sync"},
		{"POST", "/v1/pause?sync=one", 409, `{"error":"h:/a: is away"}`},
		{"POST", "/v1/approve?sync=one", 409, "is away"},
		{"POST", "/v1/verify", 400, "missing"},
		{"POST", "/v1/verify?sync=three", 404, "no sync"},
		{"POST", "/v1/verify?sync=one", 409, `{"error":"away"}`},
		{"POST", "/v1/verify?sync=one&repair=perhaps", 400, "neither true nor false"},
	} {
		req, err := http.NewRequest(test.method, "http://filewatch"+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("%s %s: %v", test.method, test.path, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != test.want || !strings.Contains(string(body), test.text) {
			t.Errorf("%s %s: %d %s %v, want %d %s", test.method, test.path, resp.StatusCode, body, err, test.want, test.text)
		}
	}
}

func TestActs(t *testing.T) {
	var got []string
	_, c, _ := serve(t, &fake{act: func(what, name string) error { got = append(got, what+" "+name); return nil }})
	ctx := t.Context()
	if err := errors.Join(c.Pause(ctx, "one"), c.Resume(ctx, "two"), c.Resync(ctx, "one")); err != nil {
		t.Fatal(err)
	}
	words, err := c.Approve(ctx, "two")
	if err != nil || len(words) != 1 || words[0] != "12 deletions at h:/a" {
		t.Errorf("%q, %v", words, err)
	}
	if diff := cmp.Diff([]string{"pause one", "resume two", "resync one", "approve two"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := c.Pause(ctx, "three"); err == nil || err.(*Error).Status != http.StatusNotFound {
		t.Error(err)
	}
}

func TestStatusIsCurrent(t *testing.T) {
	d := &fake{}
	_, c, _ := serve(t, d)
	for range 3 {
		r, err := c.Status(t.Context(), "")
		if err != nil || len(r.Syncs) != 2 {
			t.Fatal(r, err)
		}
	}
	if n := d.asked.Load(); n != 3 {
		t.Errorf("asked %d times", n)
	}
}

func TestFlush(t *testing.T) {
	var flush func(context.Context, string) error
	_, c, _ := serve(t, &fake{flush: func(ctx context.Context, name string) error { return flush(ctx, name) }})

	flush = func(_ context.Context, name string) error {
		if name != "" {
			return fmt.Errorf("name %q", name)
		}
		return nil
	}
	if err := c.Flush(t.Context(), "", time.Minute); err != nil {
		t.Error(err)
	}
	flush = func(_ context.Context, name string) error { return fmt.Errorf("%s: h:/a is away", name) }
	if err := c.Flush(t.Context(), "one", time.Minute); err == nil || err.Error() != "one: h:/a is away" || err.(*Error).Status != http.StatusConflict {
		t.Error(err)
	}
	flush = func(ctx context.Context, _ string) error { <-ctx.Done(); return fmt.Errorf("wait: %w", ctx.Err()) }
	if err := c.Flush(t.Context(), "one", 10*time.Millisecond); err == nil || err.Error() != "not everything is confirmed after 10ms" || err.(*Error).Status != http.StatusGatewayTimeout {
		t.Error(err)
	}
	// What was confirmed at the last moment is confirmed.
	flush = func(ctx context.Context, _ string) error { <-ctx.Done(); return nil }
	if err := c.Flush(t.Context(), "one", 10*time.Millisecond); err != nil {
		t.Error(err)
	}
	// One that cannot be is told even when it takes long to see that.
	flush = func(ctx context.Context, _ string) error { <-ctx.Done(); return errors.New("held") }
	if err := c.Flush(t.Context(), "one", 10*time.Millisecond); err == nil || err.Error() != "held" {
		t.Error(err)
	}
}

func TestClientThatHangsUpEndsFlush(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	_, c, _ := serve(t, &fake{flush: func(ctx context.Context, _ string) error {
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- c.Flush(ctx, "one", time.Hour) }()
	within(t, "the flush", begun)
	cancel()
	if err := within(t, "its end", ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := within(t, "the answer", answer); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCloseTellsThoseWhoWait(t *testing.T) {
	begun := make(chan struct{}, 2)
	wait := func(ctx context.Context) error { begun <- struct{}{}; <-ctx.Done(); return ctx.Err() }
	s, c, _ := serve(t, &fake{
		flush:  func(ctx context.Context, _ string) error { return wait(ctx) },
		verify: func(ctx context.Context, _ string, _ bool, _ func(string, sdk.Difference)) error { return wait(ctx) },
	})
	answers := make(chan error, 2)
	go func() { answers <- c.Flush(t.Context(), "one", time.Hour) }()
	go func() { answers <- c.Verify(t.Context(), "one", false, nil) }()
	within(t, "a request", begun)
	within(t, "a request", begun)
	s.Close()
	for range 2 {
		if err := within(t, "an answer", answers); err == nil || err.Error() != errEnding.Error() {
			t.Error(err)
		}
	}
	s.Close() // is harmless
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	s, c, _ := serve(t, &fake{flush: func(context.Context, string) error { close(begun); <-release; return nil }})
	answer := make(chan error, 1)
	go func() { answer <- c.Flush(t.Context(), "one", time.Hour) }()
	within(t, "the flush", begun)
	s.Close()
	if err := within(t, "the answer", answer); err == nil {
		t.Error("a flush that did not end was acknowledged")
	}
	close(release)
}

func TestMany(t *testing.T) {
	_, c, _ := serve(t, &fake{
		flush: func(context.Context, string) error { return nil },
		act:   func(string, string) error { return nil },
		verify: func(_ context.Context, _ string, _ bool, found func(string, sdk.Difference)) error {
			found("d", sdk.Difference{Path: "p"})
			return nil
		},
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				_, err := c.Status(t.Context(), "")
				err = errors.Join(err, c.Flush(t.Context(), "", time.Minute), c.Resync(t.Context(), "one"))
				n := 0
				err = errors.Join(err, c.Verify(t.Context(), "two", true, func(Difference) { n++ }))
				if err != nil || n != 1 {
					t.Error(n, err)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzName: whatever the name, the answer is JSON and tells that there is no such sync.
func FuzzName(f *testing.F) {
	f.Add("one")
	f.Add("a&sync=one")
	f.Add("\x00\xff\n\"")
	s := &Server{config: Config{Daemon: &fake{act: func(string, string) error { return nil }}}}
	handler := s.handler()
	f.Fuzz(func(t *testing.T, name string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("POST", "/v1/pause?"+url.Values{"sync": {name}}.Encode(), nil))
		var answer failure
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		want := http.StatusNotFound
		switch name {
		case "":
			want = http.StatusBadRequest
		case "one", "two":
			want = http.StatusOK
		}
		if w.Code != want || (answer.Error == "") != (want == http.StatusOK) || strings.ContainsAny(answer.Error, "\x00\n\x1b") {
			t.Errorf("%q: %d %q", name, w.Code, answer.Error)
		}
	})
}

func TestUnknownListsInOrder(t *testing.T) {
	err := unknown("bta", []status.Sync{{Name: "beta"}, {Name: "alpha"}})
	if err.Error() != `there is no sync "bta"; did you mean "beta"? (there are: alpha, beta)` {
		t.Error(err)
	}
}
