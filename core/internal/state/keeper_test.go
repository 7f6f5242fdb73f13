package state

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/guard"
)

// memory is a Store that can fail.
type memory struct {
	mu    sync.Mutex
	kept  map[string]Sync
	saves int
	fail  error
}

func (m *memory) Load(name string) (Sync, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[name], m.fail
}

func (m *memory) Save(name string, s Sync) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if m.kept == nil {
		m.kept = map[string]Sync{}
	}
	m.kept[name] = s
	m.saves++
	return nil
}

func TestNotesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r := NewKeeper(m, hclog.NewNullLogger()).Open("s")
		note := func(second int, saves int) {
			t.Helper()
			r.Note(func(s *Sync) { s.Destination("a").Confirmed = noon.Add(time.Duration(second) * time.Second) })
			if m.saves != saves {
				t.Errorf("second %d: %d saves, want %d", second, m.saves, saves)
			}
		}
		r.Update(func(s *Sync) { s.Paused = true })
		r.Update(func(s *Sync) { s.Paused = true }) // no change
		note(1, 1)
		time.Sleep(noteEvery - time.Nanosecond)
		note(2, 1)
		time.Sleep(time.Nanosecond)
		note(3, 2)
		note(4, 2)
		r.Update(func(s *Sync) { s.Paused = false })
		note(5, 3)
		r.Flush()
		r.Flush()
		if m.saves != 4 || !cmp.Equal(m.kept["s"], r.Get()) || m.kept["s"].Destinations[0].Confirmed != noon.Add(5*time.Second) {
			t.Errorf("%d saves, kept %+v", m.saves, m.kept["s"])
		}
	})
}

// TestKeeperWithoutStore: what cannot be saved is known all the same, is said once, and is saved later.
func TestKeeperWithoutStore(t *testing.T) {
	var log bytes.Buffer
	m := &memory{fail: errors.New("no space left on device")}
	k := NewKeeper(m, hclog.New(&hclog.LoggerOptions{Output: &log}))
	a, b := k.Open("a"), k.Open("b")
	if n := strings.Count(log.String(), "nothing is remembered"); n != 2 {
		t.Errorf("%d lines for two syncs:\n%s", n, log.String())
	}
	log.Reset()
	for n := range uint64(5) {
		a.Update(func(s *Sync) { s.Source.Entries = n + 1 })
		b.Update(func(s *Sync) { s.Source.Entries = n + 1 })
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "no space left") {
		t.Errorf("log:\n%s", got)
	}
	if a.Get().Source.Entries != 5 {
		t.Errorf("%+v", a.Get())
	}
	log.Reset()
	m.fail = nil
	a.Flush()
	if log.Len() > 0 {
		t.Errorf("one of two is saved again:\n%s", log.String())
	}
	b.Flush()
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "saved again") {
		t.Errorf("log:\n%s", got)
	}
	if m.kept["a"].Source.Entries != 5 || m.kept["b"].Source.Entries != 5 {
		t.Errorf("%+v", m.kept)
	}
}

func TestRecordIsShared(t *testing.T) {
	m := &memory{}
	r := NewKeeper(m, hclog.NewNullLogger()).Open("s")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				r.Update(func(s *Sync) { s.Source.Entries++ })
				r.Note(func(s *Sync) { s.Destination("a").Confirmed = noon })
				mine := r.Get()
				mine.Destination("a").FullSync = noon
				mine.Destination("b").Confirmed = noon
			}
		})
	}
	wg.Wait()
	r.Flush()
	if got := m.kept["s"]; got.Source.Entries != 400 || len(got.Destinations) != 1 || !got.Destinations[0].FullSync.IsZero() || !cmp.Equal(got, r.Get()) {
		t.Errorf("%+v", got)
	}
}

// The next record of a name knows what the one before knew, and what that one hears later changes nothing.
func TestRecordIsOpenedAgain(t *testing.T) {
	for _, test := range []struct {
		name   string
		close  bool
		broken bool // the store, while it is written
		edited bool // the store, by somebody else
		want   uint64
	}{
		{name: "still open", want: 2},
		{name: "still open, store edited", edited: true, want: 2},
		{name: "still open, store broken", broken: true, want: 2},
		{name: "closed", close: true, want: 2},
		{name: "closed, store edited", close: true, edited: true, want: 7},
		{name: "closed, store broken", close: true, broken: true, want: 2},
	} {
		m := &memory{}
		k := NewKeeper(m, hclog.NewNullLogger())
		a := k.Open("s")
		a.Update(func(s *Sync) { s.Source.Entries = 1 })
		if test.broken {
			m.fail = errors.New("no space left on device")
		}
		a.Note(func(s *Sync) { s.Source.Entries = 2 })
		if test.close {
			a.Close()
		}
		if test.edited {
			m.kept["s"] = Sync{Source: guard.Source{Entries: 7}}
		}
		b := k.Open("s")
		m.fail = nil
		if got := b.Get().Source.Entries; got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
		a.Update(func(s *Sync) { s.Paused = true })
		a.Flush()
		b.Flush()
		if test.edited && test.close {
			b.Update(func(s *Sync) { s.Source.Path = "/s" })
		}
		if got := m.kept["s"]; got.Paused || b.Get().Paused || got.Source.Entries != test.want {
			t.Errorf("%s: kept %+v", test.name, got)
		}
	}
}
