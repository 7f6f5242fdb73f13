package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/filewatch/filewatch/sdk/wire"
	"github.com/filewatch/filewatch/sdk/wire/pluginpb"
)

// dial serves p on a real socket and returns the host's side of it.
func dial(t *testing.T, p Plugin) (*Client, *server) {
	t.Helper()
	s := newServer(p, hclog.NewNullLogger())
	g := grpc.NewServer(grpc.UnaryInterceptor(s.recoverUnary), grpc.StreamInterceptor(s.recoverStream))
	s.register(g)
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return NewClient(conn), s
}

type testConfig struct {
	Greeting string        `hcl:"greeting,optional" doc:"What to say."`
	Wait     time.Duration `hcl:"wait,optional"`
}

// testTransport records what it was asked and answers with sync.
type testTransport struct {
	sync func(context.Context, SyncRequest, func(Progress)) (Result, error)
}

func (t *testTransport) Config() any { return &testConfig{Greeting: "hello"} }

func (t *testTransport) Sync(ctx context.Context, req SyncRequest, progress func(Progress)) (Result, error) {
	return t.sync(ctx, req, progress)
}

func (t *testTransport) Validate(_ context.Context, req ValidateRequest) Diagnostics {
	var d Diagnostics
	if req.Config.(*testConfig).Greeting == "bad" {
		d.AddAttributeError([]any{"greeting"}, "Bad greeting", "Say something nice.")
	}
	return d
}

type watchFunc func(context.Context, WatchRequest, Reporter) error

func (f watchFunc) Watch(ctx context.Context, req WatchRequest, r Reporter) error {
	return f(ctx, req, r)
}

var oddPath = "a\xff\n/-b \x01"

func TestSyncTravelsUnchanged(t *testing.T) {
	want := SyncRequest{
		Sync: "docker", ID: "7", Attempt: 2, Source: "/srv/\xfe",
		Destination: Endpoint{Scheme: SchemeSSH, User: "root", Host: "::1", Port: 7, Path: "/d\xff"},
		Exclude:     []string{"*.swp", ".git/"}, Delete: true, MaxDelete: 8, List: true, DryRun: true,
		Changes: []Change{{Path: oddPath, Ops: OpCreate | OpClose}, {Path: "", Scope: ScopeSubtree}},
		MaxSize: 9, Beside: true, Busy: []string{oddPath, "b"}, MayDefer: true,
	}
	result := Result{
		Files: 7, Created: 1, Deleted: 2, Bytes: 3, Failed: []PathError{{Path: oddPath, Text: "no"}},
		Large: []string{oddPath, "l"}, Deferred: []string{"d", oddPath}, Entries: 4, Withheld: Withheld{Count: 5, Sample: []string{oddPath}},
	}
	progressed := Progress{Files: 1, Bytes: 2, Deleted: 3, Created: 4, Portion: 0.5, Differences: []Difference{{oddPath, Different}, {"a", Missing}, {"b", Extra}}}
	var got SyncRequest
	c, _ := dial(t, Plugin{Name: "x", Transport: &testTransport{func(_ context.Context, req SyncRequest, progress func(Progress)) (Result, error) {
		got = req
		progress(progressed)
		return result, nil
	}}})
	req := want
	req.Config = json.RawMessage(`{"greeting":null,"wait":"3s"}`)
	var steps []Progress
	gotResult, err := c.Sync(t.Context(), req, func(p Progress) { steps = append(steps, p) })
	if err != nil {
		t.Fatal(err)
	}
	want.Config = &testConfig{Greeting: "hello", Wait: 3 * time.Second}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request changed on its way (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(result, gotResult); diff != "" {
		t.Errorf("result changed on its way (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Progress{progressed}, steps); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

func TestWatchTravelsUnchanged(t *testing.T) {
	want := WatchRequest{Sync: "docker", Root: "/srv/\xfe", Exclude: []string{".git/"}, Only: []string{oddPath, "b/c"}}
	var got WatchRequest
	c, _ := dial(t, Plugin{Name: "x", Watcher: watchFunc(func(_ context.Context, req WatchRequest, _ Reporter) error {
		got = req
		return errors.New("seen")
	})})
	if err := c.Watch(t.Context(), want, &recorder{}); err == nil || err.Error() != "seen" {
		t.Fatal(err)
	}
	got.Barriers = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request changed on its way (-want +got):\n%s", diff)
	}
}

// What is said before an error arrives before it.
func TestProgressBeforeAnErrorArrives(t *testing.T) {
	c, _ := dial(t, Plugin{Name: "x", Transport: &testTransport{func(_ context.Context, _ SyncRequest, progress func(Progress)) (Result, error) {
		for i := range uint64(1000) {
			progress(Progress{Deleted: i + 1})
		}
		return Result{}, errors.New("broken")
	}}})
	for range 20 {
		var last Progress
		if _, err := c.Sync(t.Context(), SyncRequest{}, func(p Progress) { last = p }); err == nil || last.Deleted != 1000 {
			t.Fatalf("%d deletions arrived before the error %v, want 1000", last.Deleted, err)
		}
	}
}

// A call that was given up and has not ended yet keeps the next one for the same destination waiting, and
// no other.
func TestCallsTakeTurns(t *testing.T) {
	begun, end := make(chan string), make(chan struct{})
	c, _ := dial(t, Plugin{Name: "x", Transport: &testTransport{func(_ context.Context, req SyncRequest, _ func(Progress)) (Result, error) {
		begun <- req.ID
		if req.ID == "first" {
			<-end
		}
		return Result{}, nil
	}}})
	ctx, cancel := context.WithCancel(t.Context())
	to := Endpoint{Path: "/d"}
	var calls sync.WaitGroup
	call := func(ctx context.Context, id string, to Endpoint) {
		calls.Go(func() { _, _ = c.Sync(ctx, SyncRequest{ID: id, Destination: to}, nil) })
	}
	call(ctx, "first", to)
	<-begun
	cancel()
	calls.Wait()
	call(t.Context(), "second", to)
	call(t.Context(), "other", Endpoint{Path: "/e"})
	if id := <-begun; id != "other" {
		t.Errorf("%s began", id)
	}
	select {
	case id := <-begun:
		t.Errorf("%s began beside the first one", id)
	case <-time.After(50 * time.Millisecond):
	}
	close(end)
	if id := <-begun; id != "second" {
		t.Errorf("%s began", id)
	}
	calls.Wait()
}

func TestManyDifferencesTravelInSeveralMessages(t *testing.T) {
	const n = 50_000 // of 60 bytes: three messages
	c, _ := dial(t, Plugin{Name: "x", Transport: &testTransport{func(_ context.Context, _ SyncRequest, progress func(Progress)) (Result, error) {
		p := Progress{Files: n}
		for i := range n {
			p.Differences = append(p.Differences, Difference{fmt.Sprintf("%060d", i), Missing})
		}
		progress(p)
		return Result{}, nil
	}}})
	var got []string
	if _, err := c.Sync(t.Context(), SyncRequest{List: true}, func(p Progress) {
		for _, d := range p.Differences {
			got = append(got, d.Path)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("%d differences arrived in order %t, want %d", len(got), slices.IsSorted(got), n)
	}
}

func TestDifferenceThatLeadsAstrayIsLeftOut(t *testing.T) {
	p := progressFromProto(&pluginpb.Progress{Differences: []*pluginpb.Difference{{Path: []byte("../x")}, {Path: []byte("a")}}})
	if diff := cmp.Diff([]Difference{{"a", Different}}, p.Differences); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

func TestErrorsKeepTheirClass(t *testing.T) {
	tests := []struct {
		name string
		err  error
		is   func(error) bool
	}{
		{"unavailable", Unavailable(errors.New("host web1 is away")), IsUnavailable},
		{"misconfigured", fmt.Errorf("web1: %w", Misconfigured(errors.New("no rsync"))), IsMisconfigured},
		{"root lost", RootLost(errors.New("/srv is gone")), IsRootLost},
		{"other", errors.New("bad \xff byte"), func(err error) bool {
			return !IsUnavailable(err) && !IsMisconfigured(err) && !IsRootLost(err)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := dial(t, Plugin{Name: "x",
				Transport: &testTransport{func(context.Context, SyncRequest, func(Progress)) (Result, error) {
					return Result{}, tt.err
				}},
				Watcher: watchFunc(func(context.Context, WatchRequest, Reporter) error { return tt.err }),
			})
			_, err := c.Sync(t.Context(), SyncRequest{}, nil)
			if err == nil || !tt.is(err) || err.Error() != strings.ToValidUTF8(tt.err.Error(), "\uFFFD") {
				t.Errorf("Sync returned %v", err)
			}
			err = c.Watch(t.Context(), WatchRequest{}, &recorder{})
			if err == nil || !tt.is(err) {
				t.Errorf("Watch returned %v", err)
			}
		})
	}
}

func TestBrokenConnectionIsUnavailable(t *testing.T) {
	conn, err := grpc.NewClient("unix:"+filepath.Join(t.TempDir(), "none"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := NewClient(conn).Sync(t.Context(), SyncRequest{}, nil); !IsUnavailable(err) {
		t.Errorf("Sync without a plugin returned %v", err)
	}
}

func TestPanicIsOneCallsError(t *testing.T) {
	c, _ := dial(t, Plugin{Name: "x",
		Transport: &testTransport{func(context.Context, SyncRequest, func(Progress)) (Result, error) { panic("ouch") }},
		Watcher:   watchFunc(func(context.Context, WatchRequest, Reporter) error { panic("ouch") }),
	})
	if _, err := c.Sync(t.Context(), SyncRequest{}, nil); err == nil || !strings.Contains(err.Error(), "ouch") {
		t.Errorf("Sync returned %v", err)
	}
	if err := c.Watch(t.Context(), WatchRequest{}, &recorder{}); err == nil || !strings.Contains(err.Error(), "ouch") {
		t.Errorf("Watch returned %v", err)
	}
	if _, err := c.Describe(t.Context()); err != nil {
		t.Errorf("Describe after the panics: %v", err)
	}
}

func TestValidate(t *testing.T) {
	c, _ := dial(t, Plugin{Name: "x", Transport: &testTransport{}})
	tests := []struct {
		config string
		want   Diagnostics
	}{
		{`{"greeting":"good"}`, nil},
		{`{"greeting":"bad"}`, Diagnostics{{Summary: "Bad greeting", Detail: "Say something nice.", Path: []any{"greeting"}}}},
	}
	for _, tt := range tests {
		got, err := c.Validate(t.Context(), KindTransport, ValidateRequest{Config: json.RawMessage(tt.config)})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.config, diff)
		}
	}
	got, err := c.Validate(t.Context(), KindTransport, ValidateRequest{Config: json.RawMessage(`{"wait":"soon"}`)})
	if err != nil || len(got) != 1 || !cmp.Equal(got[0].Path, []any{"wait"}) {
		t.Errorf("a bad duration gave %v, %v", got, err)
	}
	if _, err := c.Validate(t.Context(), KindWatcher, ValidateRequest{}); !IsMisconfigured(err) {
		t.Errorf("validating as a watcher what is none: %v", err)
	}
}

func TestDrain(t *testing.T) {
	running := make(chan struct{})
	c, _ := dial(t, Plugin{Name: "x", Transport: &testTransport{func(ctx context.Context, _ SyncRequest, _ func(Progress)) (Result, error) {
		close(running)
		<-ctx.Done()
		return Result{}, ctx.Err()
	}}})
	failed := make(chan error, 1)
	go func() {
		_, err := c.Sync(t.Context(), SyncRequest{}, nil)
		failed <- err
	}()
	<-running
	if err := c.Drain(t.Context(), 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("a Sync that was given up returned no error")
	}
	if _, err := c.Sync(t.Context(), SyncRequest{}, nil); !IsUnavailable(err) {
		t.Errorf("Sync after Drain returned %v", err)
	}
}

// recorder is a Reporter that keeps what it is told. With block set, Change waits for it.
type recorder struct {
	block chan struct{}

	mu        sync.Mutex
	ready     int
	changes   []Change
	unwatched []string
}

func (r *recorder) Ready() { r.mu.Lock(); r.ready++; r.mu.Unlock() }

func (r *recorder) Change(c Change) {
	if r.block != nil {
		<-r.block
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
}

func (r *recorder) Unwatched(paths []string, _ string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unwatched = paths
}

func (r *recorder) covers(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.changes {
		if c.Covers(path) {
			return true
		}
	}
	return false
}

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

func TestWatchLosesNothingBehindASlowHost(t *testing.T) {
	const n = 3 * maxPending
	var reporter Reporter
	started := make(chan struct{})
	c, _ := dial(t, Plugin{Name: "x", Watcher: watchFunc(func(ctx context.Context, _ WatchRequest, r Reporter) error {
		r.Change(Change{Path: "before ready"})
		r.Unwatched([]string{oddPath}, "limit")
		r.Ready()
		reporter = r
		close(started)
		<-ctx.Done()
		return nil
	})})
	host := &recorder{block: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- c.Watch(ctx, WatchRequest{Root: "/r"}, host) }()
	<-started
	for i := range n {
		reporter.Change(Change{Path: fmt.Sprintf("%s/%d", oddPath, i), Ops: OpWrite})
	}
	if waiting := len(reporter.(*reports).pending); waiting > maxPending+1 {
		t.Errorf("%d changes wait in the plugin, the bound is %d", waiting, maxPending)
	}
	close(host.block)
	for _, i := range []int{0, 1, n / 2, n - 1} {
		path := fmt.Sprintf("%s/%d", oddPath, i)
		eventually(t, path+" arrives", func() bool { return host.covers(path) })
	}
	host.mu.Lock()
	if host.ready != 1 || !cmp.Equal(host.unwatched, []string{oddPath}) {
		t.Errorf("ready %d times, unwatched %q", host.ready, host.unwatched)
	}
	if host.changes[0].Path == "before ready" {
		t.Error("a change from before Ready was sent")
	}
	host.mu.Unlock()
	cancel()
	if err := <-watched; err != nil {
		t.Errorf("Watch after its context ended: %v", err)
	}
}

// A barrier is reached at the host only after everything that the watcher reported before it, however
// slowly the host takes it, and also when that was merged into one change of the whole root.
func TestBarrierComesAfterWhatWasReportedBefore(t *testing.T) {
	for _, n := range []int{0, 10, maxPending / 2, 2 * maxPending} {
		c, _ := dial(t, Plugin{Name: "x", Watcher: watchFunc(func(ctx context.Context, req WatchRequest, r Reporter) error {
			r.Ready()
			for {
				select {
				case b := <-req.Barriers:
					for i := range n {
						r.Change(Change{Path: fmt.Sprint("before/", i)})
					}
					b.Reached()
					r.Change(Change{Path: "after"})
				case <-ctx.Done():
					return nil
				}
			}
		})})
		host := &recorder{}
		ctx, cancel := context.WithCancel(t.Context())
		barriers, watched := make(chan Barrier), make(chan error, 1)
		go func() { watched <- c.Watch(ctx, WatchRequest{Root: "/r", Barriers: barriers}, host) }()
		for range 3 {
			host.mu.Lock()
			host.changes = nil
			host.mu.Unlock()
			reached := make(chan struct{})
			barriers <- NewBarrier(func() {
				if n > 0 && !(host.covers("before/0") && host.covers(fmt.Sprint("before/", n-1))) {
					t.Errorf("%d changes: the barrier overtook them", n)
				}
				close(reached)
			})
			select {
			case <-reached:
			case <-time.After(10 * time.Second):
				t.Fatalf("%d changes: the barrier was not reached", n)
			}
		}
		cancel()
		if err := <-watched; err != nil {
			t.Errorf("Watch: %v", err)
		}
	}
}

func TestBatchesFitAMessage(t *testing.T) {
	r := newReports()
	r.Ready()
	long := strings.Repeat("x", 4000)
	for i := range 1000 {
		r.Change(Change{Path: fmt.Sprint(i, long)})
	}
	total := 0
	for {
		batch := r.takeBatch()
		if len(batch) == 0 {
			break
		}
		size := 0
		for _, c := range batch {
			size += len(c.Path)
		}
		if size > wire.MaxRequest {
			t.Errorf("a batch holds %d bytes of paths", size)
		}
		total += len(batch)
	}
	if total != 1000 {
		t.Errorf("%d of 1000 changes came out", total)
	}
}

func TestResultThatDoesNotFitConfirmsNothing(t *testing.T) {
	var r Result
	for i := range 1000 {
		r.Failed = append(r.Failed, PathError{Path: fmt.Sprint(i), Text: strings.Repeat("x", 4000)})
	}
	got := resultFromProto(resultToProto(r))
	if len(got.Failed) != 1 || got.Failed[0].Path != "" {
		t.Errorf("%d failed paths instead of the root", len(got.Failed))
	}
}

func TestCovers(t *testing.T) {
	tests := []struct {
		change Change
		path   string
		want   bool
	}{
		{Change{Path: "a"}, "a", true},
		{Change{Path: "a"}, "a/b", false},
		{Change{Path: "a", Scope: ScopeSubtree}, "a/b", true},
		{Change{Path: "a", Scope: ScopeSubtree}, "ab", false},
		{Change{Scope: ScopeSubtree}, "a/b", true},
		{Change{}, "a", false},
	}
	for _, tt := range tests {
		if got := tt.change.Covers(tt.path); got != tt.want {
			t.Errorf("%+v covers %q: %v", tt.change, tt.path, got)
		}
	}
}

func TestEndpointString(t *testing.T) {
	tests := []struct {
		endpoint Endpoint
		want     string
	}{
		{Endpoint{Path: "/srv"}, "/srv"},
		{Endpoint{Scheme: "ssh", User: "root", Host: "web1", Path: "/srv"}, "root@web1:/srv"},
		{Endpoint{Scheme: "ssh", Host: "::1", Path: "srv"}, "[::1]:srv"},
		{Endpoint{Scheme: "rsync", Host: "web1", Port: 8730, Path: "m/p"}, "rsync://web1:8730/m/p"},
	}
	for _, tt := range tests {
		if got := tt.endpoint.String(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.endpoint, got, tt.want)
		}
	}
}

func TestChangeString(t *testing.T) {
	tests := []struct {
		change Change
		want   string
	}{
		{Change{Path: "a b"}, "a b"},
		{Change{Path: "a/b", Scope: ScopeSubtree}, "a/b/"},
		{Change{Scope: ScopeSubtree}, "./"},
		{Change{Path: "a\n\xff"}, `"a\n\xff"`},
	}
	for _, tt := range tests {
		if got := tt.change.String(); got != tt.want {
			t.Errorf("%#v: %s, want %s", tt.change, got, tt.want)
		}
	}
}

// The root's own attributes in doubt must not hide that everything below it is.
func TestOverflowAfterAChangeOfTheRootItself(t *testing.T) {
	r := newReports()
	r.Ready()
	r.Change(Change{Ops: OpAttrib})
	r.Change(Change{Path: "a"})
	r.Change(Change{Scope: ScopeSubtree})
	if batch := r.takeBatch(); len(batch) != 1 || batch[0].Scope != ScopeSubtree || batch[0].Path != "" {
		t.Errorf("sent %v", batch)
	}
}

// A barrier is not reached before the host knows what is not watched, and nothing comes before Ready.
func TestUnwatchedComesBeforeReached(t *testing.T) {
	r := newReports()
	r.Ready()
	r.Unwatched([]string{"a"}, "limit")
	r.reach(1)
	if ids := r.takeReached(); len(ids) != 0 {
		t.Errorf("reached %v before the list was sent", ids)
	}
	if u := r.takeUnwatched(); u == nil {
		t.Error("no list")
	}
	if ids := r.takeReached(); len(ids) != 1 {
		t.Errorf("reached %v after the list was sent", ids)
	}
}

func TestUnwatchedBeforeReadyArrivesAfterIt(t *testing.T) {
	c, _ := dial(t, Plugin{Name: "x", Watcher: watchFunc(func(ctx context.Context, _ WatchRequest, r Reporter) error {
		r.Unwatched([]string{"a"}, "limit")
		time.Sleep(10 * time.Millisecond) // long enough for it to be sent, if that were the order
		r.Ready()
		<-ctx.Done()
		return nil
	})})
	host := &recorder{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Watch(ctx, WatchRequest{Root: "/r"}, host) }()
	eventually(t, "the list arrives", func() bool {
		host.mu.Lock()
		defer host.mu.Unlock()
		if host.ready == 0 && host.unwatched != nil {
			t.Error("the list came before Ready")
		}
		return host.ready == 1 && host.unwatched != nil
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

var badPaths = []string{"/etc", "..", "../x", "a/../b", "a//b", "a/", ".", "a\x00b"}

// What a plugin says of paths that are none must neither confirm the wrong thing nor get lost.
func TestPathsOfPluginsAreChecked(t *testing.T) {
	for _, path := range badPaths {
		c, _ := dial(t, Plugin{Name: "x",
			Transport: &testTransport{func(context.Context, SyncRequest, func(Progress)) (Result, error) {
				return Result{Failed: []PathError{{Path: path, Text: "no"}}}, nil
			}},
			Watcher: watchFunc(func(ctx context.Context, _ WatchRequest, r Reporter) error {
				r.Ready()
				r.Unwatched([]string{"ok", path}, "limit")
				r.Change(Change{Path: path})
				<-ctx.Done()
				return nil
			}),
		})
		if _, err := c.Sync(t.Context(), SyncRequest{}, nil); err == nil {
			t.Errorf("a failed path %q was taken", path)
		}
		host := &recorder{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Watch(ctx, WatchRequest{Root: "/r"}, host) }()
		eventually(t, "the change arrives", func() bool { return host.covers("anything") })
		host.mu.Lock()
		if !cmp.Equal(host.unwatched, []string{""}) || len(host.changes) != 1 {
			t.Errorf("%q: unwatched %q, changes %v", path, host.unwatched, host.changes)
		}
		host.mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{"", "a", "a/b", "...", "..a", "a/.b", " ", "\xff\n"} {
		if !validPath(path) {
			t.Errorf("%q is refused", path)
		}
	}
}
