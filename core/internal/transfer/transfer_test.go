package transfer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/core/internal/state"
	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
)

// transport is a sdk.Transport whose calls the test answers.
type transport struct {
	mu    sync.Mutex
	calls []sdk.SyncRequest
	reply func(ctx context.Context, call int, req sdk.SyncRequest) (sdk.Result, error)
	ready func(ctx context.Context) error            // answers a request without changes, which is no call; nil = at once
	lists func(req sdk.SyncRequest) []sdk.Difference // what a request with List is told; nil = nothing
	tells func(req sdk.SyncRequest) sdk.Progress     // before the reply; nil = nothing
	// during is what is told before the reply, until it is closed; nil = nothing.
	during <-chan sdk.Progress
}

func (tr *transport) Sync(ctx context.Context, req sdk.SyncRequest, progress func(sdk.Progress)) (sdk.Result, error) {
	if len(req.Changes) == 0 {
		if tr.ready == nil {
			return sdk.Result{}, nil
		}
		return sdk.Result{}, tr.ready(ctx)
	}
	tr.mu.Lock()
	tr.calls = append(tr.calls, req)
	n := len(tr.calls)
	tr.mu.Unlock()
	if req.List && tr.lists != nil {
		progress(sdk.Progress{Differences: tr.lists(req)})
	}
	if tr.tells != nil {
		progress(tr.tells(req))
	}
	if tr.during != nil {
		for p := range tr.during {
			progress(p)
		}
	}
	return tr.reply(ctx, n, req)
}

// last returns the last call.
func (tr *transport) last() sdk.SyncRequest {
	synctest.Wait()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.calls[len(tr.calls)-1]
}

// paths returns what each call was to send.
func (tr *transport) paths() [][]string {
	synctest.Wait()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var all [][]string
	for _, call := range tr.calls {
		var paths []string
		for _, c := range call.Changes {
			paths = append(paths, c.String())
		}
		all = append(all, paths)
	}
	return all
}

// syncBuffer is a log that can be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) count(text string) int {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.b.String(), text)
}

// fakeWatch is a Watch that says what the test wants.
type fakeWatch struct {
	mu       sync.Mutex
	complete bool
	looks    bool
	prove    func(func())
}

func (w *fakeWatch) set(change func(*fakeWatch)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

func (w *fakeWatch) Complete() (bool, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.complete, "watch limit"
}

func (w *fakeWatch) Prove(reached func()) {
	w.mu.Lock()
	prove := w.prove
	w.mu.Unlock()
	prove(reached)
}

func (w *fakeWatch) Looks() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looks
}

type fixture struct {
	*Destination
	transport *transport
	log       *syncBuffer
	source    string
	watch     *fakeWatch
	mounts    *fakeMounts
	record    *state.Record
	stop      func() // ends Run's first context
	abort     func()
	ended     chan struct{}
}

// record returns a record that no disk keeps.
func record() *state.Record {
	return state.NewKeeper(nowhere{}, hclog.NewNullLogger()).Open("s")
}

type nowhere struct{}

func (nowhere) Load(string) (state.Sync, error) { return state.Sync{}, nil }
func (nowhere) Save(string, state.Sync) error   { return nil }

// start runs a destination in virtual time, after the changes to its configuration.
func start(t *testing.T, reply func(context.Context, int, sdk.SyncRequest) (sdk.Result, error), change ...func(*Config)) *fixture {
	f := &fixture{transport: &transport{reply: reply}, log: &syncBuffer{}, source: t.TempDir(), watch: &fakeWatch{complete: true, prove: func(reached func()) { reached() }}, ended: make(chan struct{})}
	f.record, f.mounts = record(), &fakeMounts{}
	c := Config{
		Sync: "s", Source: f.source, Destination: sdk.Endpoint{Path: "/dest"},
		Delete:    true,
		Transport: f.transport,
		Guard:     guard.New(f.source, false),
		Budget:    guard.NewBudget(guard.Limit{Percent: 50}),
		Watch:     f.watch,
		Mounts:    f.mounts,
		Record:    f.record,
		Logger:    hclog.New(&hclog.LoggerOptions{Output: f.log}),
	}
	for _, change := range change {
		change(&c)
	}
	f.Destination = New(c)
	ctx, stop := context.WithCancel(t.Context())
	abortCtx, abort := context.WithCancel(t.Context())
	f.stop, f.abort = stop, abort
	go func() { defer close(f.ended); f.Run(ctx, abortCtx) }()
	t.Cleanup(func() { stop(); abort(); <-f.ended })
	return f
}

func ok(context.Context, int, sdk.SyncRequest) (sdk.Result, error) { return sdk.Result{Files: 1}, nil }

func equal(t *testing.T, got, want [][]string) {
	t.Helper()
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func TestChangeDuringATransferIsSentAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := start(t, func(_ context.Context, n int, _ sdk.SyncRequest) (sdk.Result, error) {
			if n == 1 {
				<-release
			}
			return sdk.Result{}, nil
		})
		f.Add(sdk.Change{Path: "a"})
		synctest.Wait()
		f.Add(sdk.Change{Path: "a"})
		f.Add(sdk.Change{Path: "b"})
		equal(t, f.transport.paths(), [][]string{{"a"}})
		if f.log.count("in sync") != 0 {
			t.Error("in sync was said during the transfer")
		}
		close(release)
		equal(t, f.transport.paths(), [][]string{{"a"}, {"a", "b"}})
		if got := f.log.count("in sync"); got != 1 {
			t.Errorf("in sync was said %d times", got)
		}
	})
}

func TestAwayDestinationGetsEverythingWhenItIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		f := start(t, func(context.Context, int, sdk.SyncRequest) (sdk.Result, error) {
			if away.Load() {
				return sdk.Result{}, sdk.Unavailable(errors.New("no route to host"))
			}
			return sdk.Result{}, nil
		})
		f.Add(sdk.Change{Path: "a"})
		time.Sleep(time.Hour)
		f.Add(sdk.Change{Path: "b"})
		tries := len(f.transport.paths())
		if tries < 55 || tries > 80 {
			t.Errorf("%d tries in an hour, want about one a minute", tries)
		}
		if got := f.log.count("no route to host"); got < 5 || got > 7 {
			t.Errorf("the failure was logged %d times in an hour, want every ten minutes", got)
		}
		away.Store(false)
		time.Sleep(2 * retryMax)
		got := f.transport.paths()
		equal(t, got[len(got)-1:], [][]string{{"a", "b"}})
		if f.log.count("in sync") != 1 || f.log.count("works again") != 1 {
			t.Errorf("log: %s", f.log.b.String())
		}
	})
}

func TestFailedPathHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(_ context.Context, n int, req sdk.SyncRequest) (sdk.Result, error) {
			if n < 3 && slices.ContainsFunc(req.Changes, func(c sdk.Change) bool { return c.Path == "bad" }) {
				return sdk.Result{Failed: []sdk.PathError{{Path: "bad", Text: "permission denied"}}}, nil
			}
			return sdk.Result{}, nil
		})
		f.Add(sdk.Change{Path: "bad"})
		f.Add(sdk.Change{Path: "good"})
		synctest.Wait()
		f.Add(sdk.Change{Path: "good"})
		got := f.transport.paths()
		equal(t, got[len(got)-1:], [][]string{{"good"}})
		if f.log.count("in sync") != 0 {
			t.Error("in sync was said although a path fails")
		}
		if f.log.count("path=bad") != 1 || f.log.count("permission denied") != 1 {
			t.Error("the failing path is not named with its reason")
		}
		time.Sleep(time.Minute)
		if f.log.count("in sync") != 1 {
			t.Error("it did not heal")
		}
	})
}

func TestLostSourceIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		f.Add(sdk.Change{Path: "a"})
		synctest.Wait()
		away := filepath.Join(t.TempDir(), "away")
		if err := os.Rename(f.source, away); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(f.source, 0o700); err != nil {
			t.Fatal(err)
		}
		f.Add(sdk.Change{Scope: sdk.ScopeSubtree})
		time.Sleep(time.Minute)
		equal(t, f.transport.paths(), [][]string{{"a"}})
		if got := f.log.count("held"); got != 1 {
			t.Errorf("the hold was logged %d times in a minute", got)
		}
		if err := os.Remove(f.source); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(away, f.source); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * holdPoll)
		equal(t, f.transport.paths(), [][]string{{"a"}, {"./"}})
	})
}

func TestInSyncIsNotSaidOfWhatNobodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		f.watch.set(func(w *fakeWatch) { w.complete = false })
		f.Add(sdk.Change{Path: "a"})
		if f.log.count("in sync") != 0 || f.log.count("not everything is watched") != 1 {
			t.Errorf("log: %s", f.log.b.String())
		}
	})
}

func TestInSyncIsNotSaidBeforeTheProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		var reached func()
		f.watch.set(func(w *fakeWatch) { w.prove = func(r func()) { reached = r } })
		f.Add(sdk.Change{Path: "a"})
		if f.log.count("in sync") != 0 {
			t.Error("in sync was said without proof")
		}
		// A change makes the proof void that was asked for before it.
		first := reached
		f.Add(sdk.Change{Path: "b", Ops: sdk.OpWrite})
		equal(t, f.transport.paths(), [][]string{{"a"}, {"b"}})
		first()
		if f.log.count("in sync") != 0 {
			t.Error("in sync was said because of an older proof")
		}
		reached()
		if got := f.log.count("in sync"); got != 1 {
			t.Errorf("in sync was said %d times", got)
		}
	})
}

// A watcher that hangs, as one that is stopped does, may have much to tell.
func TestInSyncIsNotReportedWhileTheWatcherHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, ok)
		f.Add(sdk.Change{Path: "a"})
		if f.log.count("in sync") != 1 || f.Report().State != status.InSync {
			t.Fatal("in sync is not said")
		}
		var proofs []func()
		f.watch.set(func(w *fakeWatch) { w.prove = func(reached func()) { proofs = append(proofs, reached) } })
		refresh := func() status.Destination {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			f.Refresh(ctx)
			return f.Report()
		}
		// Somebody looks again and again: the answer to the first question still counts when it comes.
		inSync := time.Now()
		time.Sleep(time.Second)
		began := time.Now()
		for range 5 {
			if r := refresh(); r.State != status.Unproved || r.SyncedAt == nil || !r.SyncedAt.Equal(inSync) {
				t.Errorf("%q, in sync at %v", r.State, r.SyncedAt)
			}
		}
		proofs[0]()
		if r := f.Report(); r.State != status.InSync || !r.SyncedAt.Equal(began) {
			t.Errorf("%q after the proof, in sync at %v, want %v", r.State, r.SyncedAt, began)
		}
	})
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(ctx context.Context, _ int, _ sdk.SyncRequest) (sdk.Result, error) {
			<-ctx.Done()
			return sdk.Result{}, ctx.Err()
		})
		f.Add(sdk.Change{Path: "a"})
		synctest.Wait()
		f.stop()
		synctest.Wait()
		select {
		case <-f.ended:
			t.Error("a running transfer was not waited for")
		default:
		}
		f.abort()
		<-f.ended
	})
}

// Nobody watches any more when a transfer ends that shutdown has waited for. That is nothing to warn of.
func TestShutdownSaysNothingOfTheWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := make(chan struct{})
		f := start(t, func(ctx context.Context, _ int, _ sdk.SyncRequest) (sdk.Result, error) {
			<-sent
			return sdk.Result{}, nil
		})
		f.Add(sdk.Change{Path: "a"})
		synctest.Wait()
		f.watch.set(func(w *fakeWatch) { w.complete = false })
		f.stop()
		close(sent)
		<-f.ended
		if f.log.count("not everything is watched") != 0 {
			t.Errorf("log: %s", f.log.b.String())
		}
	})
}

func TestOnce(t *testing.T) {
	tests := []struct {
		name   string
		result sdk.Result
		err    error
		want   string
	}{
		{"all", sdk.Result{}, nil, ""},
		{"a path fails", sdk.Result{Failed: []sdk.PathError{{Path: "a", Text: "denied"}}}, nil, "1 paths could not be sent, the first is a: denied"},
		{"away", sdk.Result{}, sdk.Unavailable(errors.New("no route")), "no route"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := &transport{reply: func(context.Context, int, sdk.SyncRequest) (sdk.Result, error) { return tt.result, tt.err }}
			d := New(Config{Source: t.TempDir(), Transport: tr, Guard: guard.New(t.TempDir(), false), Logger: hclog.NewNullLogger(),
				Budget: guard.NewBudget(guard.Limit{Percent: 50}), Watch: &fakeWatch{complete: true}, Record: record()})
			err := d.Once(t.Context())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if tr.calls[0].Changes[0] != (sdk.Change{Scope: sdk.ScopeSubtree}) {
				t.Errorf("asked for %v", tr.calls[0].Changes)
			}
		})
	}
}

// What a person has to mend is tried with growing pauses of a minute at most, so that it is soon noticed when it
// is mended, and the log is not filled with the same words.
func TestMisconfiguredIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text atomic.Value
		text.Store("host key unknown")
		var calls []time.Time
		f := start(t, func(context.Context, int, sdk.SyncRequest) (sdk.Result, error) {
			calls = append(calls, time.Now())
			if text := text.Load().(string); text != "" {
				return sdk.Result{}, sdk.Misconfigured(errors.New(text))
			}
			return sdk.Result{}, nil
		})
		f.Add(everything)
		time.Sleep(time.Hour)
		synctest.Wait()
		for i, at := range calls[1:] {
			if pause := at.Sub(calls[i]); pause < 500*time.Millisecond || pause > 75*time.Second || i > 10 && pause < 30*time.Second {
				t.Errorf("try %d came %v after the one before", i+2, pause)
			}
		}
		if n := f.log.count("host key unknown"); n < 1 || n > 7 {
			t.Errorf("logged %d times in an hour", n)
		}
		if f.log.count("[ERROR]") == 0 || f.Flush(t.Context()) == nil {
			t.Error("it is no error")
		}
		// Another problem is told at once, and the end of all within two minutes.
		text.Store("no rsync")
		time.Sleep(75 * time.Second)
		if f.log.count("no rsync") != 1 {
			t.Errorf("%s", f.log.b.String())
		}
		text.Store("")
		time.Sleep(75 * time.Second)
		if f.log.count("works again") != 1 || f.Report().State != status.InSync {
			t.Errorf("state %q", f.Report().State)
		}
	})
}
