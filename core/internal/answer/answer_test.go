package answer

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var paths Paths
		failed := errors.New("failed")
		for _, test := range []struct {
			takes     time.Duration
			err, want error
			value     int
		}{{0, nil, nil, 1}, {Time - 1, nil, nil, 1}, {Time - 1, failed, failed, 1}, {Time + 1, failed, Err, 0}, {time.Hour, nil, Err, 0}} {
			began := time.Now()
			value, err := Within(&paths, "/a", func() (int, error) {
				time.Sleep(test.takes)
				return 1, test.err
			})
			if value != test.value || !errors.Is(err, test.want) || time.Since(began) > Time {
				t.Errorf("after %v: %d, %v in %v", test.takes, value, err, time.Since(began))
			}
			time.Sleep(test.takes + 1) // it has ended
			synctest.Wait()
		}
	})
}

// Whoever looks at what does not answer, nobody waits longer than from the first look on.
func TestOneHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var paths Paths
		began := time.Now()
		var looks atomic.Int32
		look := func() (int, error) {
			looks.Add(1)
			time.Sleep(time.Until(began.Add(time.Hour)))
			return 1, nil
		}
		second := make(chan error)
		go func() {
			time.Sleep(Time / 2)
			_, err := Within(&paths, "/a", look)
			second <- err
		}()
		if _, err := Within(&paths, "/a", look); !errors.Is(err, Err) {
			t.Error(err)
		}
		if err := <-second; !errors.Is(err, Err) {
			t.Error(err)
		}
		for range 20 {
			if _, err := Within(&paths, "/a", look); !errors.Is(err, Err) {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != Time || looks.Load() != 2 {
			t.Errorf("22 looks took %v, %d were begun", took, looks.Load())
		}
		if v, err := Within(&paths, "/b", func() (int, error) { return 2, nil }); v != 2 || err != nil {
			t.Errorf("another path: %d, %v", v, err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if v, err := Within(&paths, "/a", look); v != 1 || err != nil {
			t.Errorf("once it answers: %d, %v", v, err)
		}
		if len(paths.oldest) > 0 {
			t.Errorf("still open: %v", paths.oldest)
		}
	})
}
