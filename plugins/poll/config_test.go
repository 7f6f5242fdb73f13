package poll

import (
	"context"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/schema"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		interval time.Duration
		load     string
		want     []string // attributes
	}{
		{2 * time.Second, "10%", nil},
		{minInterval, "100%", nil},
		{time.Hour, "0.01%", nil},
		{minInterval - 1, "10%", []string{"interval"}},
		{0, "", []string{"interval", "max_load"}},
		{-time.Second, "0%", []string{"interval", "max_load"}},
		{time.Second, "10", []string{"max_load"}},
		{time.Second, "-1%", []string{"max_load"}},
		{time.Second, "100.1%", []string{"max_load"}},
		{time.Second, "NaN%", []string{"max_load"}},
		{time.Second, "inf%", []string{"max_load"}},
		{time.Second, "%", []string{"max_load"}},
		{time.Second, "a lot", []string{"max_load"}},
	} {
		c := &config{Interval: tc.interval, MaxLoad: tc.load}
		diags := watcher{}.Validate(context.Background(), sdk.ValidateRequest{Config: c})
		ok := len(diags) == len(tc.want)
		for i, d := range diags {
			ok = ok && d.Path[0] == tc.want[i] && d.Detail != ""
		}
		if !ok {
			t.Errorf("%+v: got %+v, want errors at %q", c, diags, tc.want)
		}
	}
}

func TestConfig(t *testing.T) {
	schema.Of(watcher{}.Config())
	if diags := (watcher{}).Validate(context.Background(), sdk.ValidateRequest{Config: watcher{}.Config()}); len(diags) != 0 {
		t.Errorf("the defaults: %+v", diags)
	}
	err := watcher{}.Watch(t.Context(), sdk.WatchRequest{Root: t.TempDir(), Exclude: []string{"["}}, newRecorder())
	if !sdk.IsMisconfigured(err) {
		t.Errorf("bad pattern: %v", err)
	}
	err = watcher{}.Watch(t.Context(), sdk.WatchRequest{Root: t.TempDir(), Config: &config{MaxLoad: "x"}}, newRecorder())
	if !sdk.IsMisconfigured(err) {
		t.Errorf("bad load: %v", err)
	}
}

func FuzzParsePercent(f *testing.F) {
	f.Add("10%")
	f.Add("0x1p-3%")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := parsePercent(s); err == nil && !(v > 0 && v <= 1) {
			t.Errorf("%q is %v", s, v)
		}
	})
}
