package status

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time    { return now.Add(-d) }
func since(d time.Duration) *time.Time { t := ago(d); return &t }
func in(d time.Duration) *time.Time    { return since(-d) }

// everyState is a report with each state, and all that can go with it.
func everyState() Report {
	confirmed := func(d Destination) Destination {
		d.LastConfirmed, d.LastFull = since(3*time.Second), since(12*time.Minute+5*time.Second)
		d.SyncedAt = since(4 * time.Second)
		return d
	}
	return Report{
		Version: "v1.2.3", PID: 4242, Started: ago(75 * time.Hour), Now: now,
		Syncs: []Sync{
			{
				Name: "site", Source: "/srv/site/", Watch: Watch{Watcher: "inotify", Watched: true},
				Destinations: []Destination{
					confirmed(Destination{Destination: "web1:/srv/site", State: InSync}),
					confirmed(Destination{Destination: "web2:/srv/site", State: Away, Pending: 14, Oldest: since(200 * time.Second), Away: &Failure{
						Text: "ssh: connect to host web2 port 22: Connection refused", Since: ago(200 * time.Second), Next: in(12 * time.Second),
					}}),
					confirmed(Destination{Destination: "web3:/srv/site", State: Held, Pending: 812, Oldest: since(time.Hour), Hold: &Hold{
						Kind: "deletions", Text: "812 of 1000 entries would be deleted, more than max_delete (50%)", Since: ago(time.Hour),
						Commands: []string{"filewatch approve site"}, Sample: []string{"a/b", "c"},
					}}),
				},
			},
			{
				Name: "docker", Source: "/var/lib/docker",
				Watch: Watch{
					Watcher: "inotify", Why: "ext4 tells of changes", Watched: true, Missed: 1, Fallback: []string{"overlay2/a/", "overlay2/b/"}, FallbackMore: 3,
					Degraded: "12000 of 90000 directories are polled every minute because the watch limit is reached; sysctl fs.inotify.max_user_watches=131072 lifts it",
				},
				Destinations: []Destination{
					confirmed(Destination{Destination: "h1:/var/lib", State: Failing, Pending: 19, Oldest: since(26 * time.Hour), FailingMore: 17, Failing: []Path{
						{Path: "a/b", Text: "Permission denied (13)", Since: ago(26 * time.Hour), Next: in(5 * time.Minute), Attempts: 12},
						{Path: "c d", Text: "File too large (27)", Since: ago(time.Second), Attempts: 1},
					}}),
					confirmed(Destination{Destination: "h2:/var/lib", State: Sending, Pending: 2, Oldest: since(time.Second), Progress: &Progress{Since: ago(time.Second), Files: 1, Bytes: 4_123_456}}),
					confirmed(Destination{Destination: "h3:/var/lib", State: Pending, Pending: 1, Oldest: since(0), Waits: true}),
					confirmed(Destination{Destination: "h4:/var/lib", State: Unproved}),
				},
			},
			{
				Name: "new", Source: "/new", Watch: Watch{Fallback: []string{""}},
				Destinations: []Destination{{
					Destination: "/mnt/new", State: Comparing, Pending: 1, Oldest: since(62 * time.Second),
					Progress: &Progress{Since: ago(61 * time.Second), Files: 1234, Bytes: 999, Portion: 0.4},
				}},
			},
			{
				Name: "stopped", Source: "/stopped", Paused: true, Watch: Watch{Watcher: "poll", Watched: true},
				Destinations: []Destination{
					// What else is the matter is told too.
					confirmed(Destination{Destination: "/mnt/stopped", State: Paused, Away: &Failure{Text: "no such host", Since: ago(5 * time.Second), Next: since(time.Second)}}),
				},
			},
		},
	}
}

// hostile is a report whose texts try to command the terminal.
func hostile() Report {
	const bad = " a\x1b[2J\n\u202eb\t\xff\\\"# "
	return Report{
		Version: bad, Now: now, Started: ago(-time.Hour), // a clock that was set back
		Syncs: []Sync{{
			Name: bad, Source: bad, Paused: true, Watch: Watch{Watcher: bad, Why: bad, Degraded: bad, Fallback: []string{bad}},
			Destinations: []Destination{{
				Destination: bad, State: bad, Oldest: in(time.Minute), Away: &Failure{Text: bad, Since: ago(-time.Hour)},
				Hold:    &Hold{Kind: bad, Text: bad, Commands: []string{bad}, Sample: []string{bad, strings.Repeat("x", 255)}},
				Failing: []Path{{Path: bad, Text: bad}, {Path: `"quoted\n"`, Text: "already"}, {Path: " spaces "}},
			}},
		}},
	}
}

func TestTextGolden(t *testing.T) {
	for _, test := range []struct {
		name   string
		report Report
		width  int
	}{
		{"wide", everyState(), 0},
		{"narrow", everyState(), 40},
		{"hostile", hostile(), 0},
		{"none", Report{Version: "v1", PID: 1, Now: now, Started: now}, 80},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.report.Text(test.width)
			file := filepath.Join("testdata", test.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestTextCommandsNoTerminal(t *testing.T) {
	for _, width := range []int{0, 1, 10, 80} {
		for _, r := range hostile().Text(width) {
			if r == utf8.RuneError || r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("width %d: %q reaches the terminal", width, r)
			}
		}
	}
}

func TestTextKeepsWidth(t *testing.T) {
	for width := 30; width < 200; width++ {
		for line := range strings.Lines(everyState().Text(width)) {
			line = strings.TrimSuffix(line, "\n")
			if utf8.RuneCountInString(line) > width && strings.Contains(strings.TrimSpace(line), " ") {
				t.Fatalf("width %d: %q", width, line)
			}
		}
	}
}

// FuzzText: at any width, the words are those of the unbroken text.
func FuzzText(f *testing.F) {
	f.Add("a  bc d", 3)
	f.Add(" \n\x1b\xff", 1)
	f.Fuzz(func(t *testing.T, text string, width int) {
		r := Report{Syncs: []Sync{{Name: "s", Watch: Watch{Degraded: text}}}}
		want, got := strings.Fields(r.Text(0)), strings.Fields(r.Text(width%1000))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour:                                  "0s",
		999 * time.Millisecond:                      "0s",
		59 * time.Second:                            "59s",
		time.Minute:                                 "1m",
		time.Hour - 1:                               "59m59s",
		time.Hour + 59*time.Second:                  "1h",
		24*time.Hour - 1:                            "23h59m",
		25*time.Hour + 59*time.Minute:               "1d1h",
		10000 * 24 * time.Hour:                      "10000d",
		2*time.Hour + 3*time.Minute + 4*time.Second: "2h3m",
	} {
		if got := age(now, ago(d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 1 << 63: "9.2 EB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestSummary(t *testing.T) {
	d := Destination{State: Sending, Pending: 14, Oldest: since(200 * time.Second)}
	if got := fmt.Sprint(d.Summary(now), "; ", Destination{State: InSync}.Summary(now)); got != "sending, 14 pending, lag 3m20s; in sync" {
		t.Error(got)
	}
}

func TestProgress(t *testing.T) {
	for _, test := range []struct {
		p    Progress
		want string
	}{
		{Progress{Since: ago(0)}, "0 files and 0 B in 0s"},
		{Progress{Since: ago(-time.Hour), Files: 1, Bytes: 5, Portion: 0.5}, "1 file and 5 B in 0s, 50% done"},
		{Progress{Since: ago(10 * time.Second), Files: 12, Bytes: 34_000_000}, "12 files and 34.0 MB in 10s, 3.4 MB/s"},
		{Progress{Since: ago(time.Minute), Files: 2, Bytes: 60, Portion: 0.25}, "2 files and 60 B in 1m, 1 B/s, 25% done, about 3m left"},
		{Progress{Since: ago(time.Minute), Files: 2, Portion: 1}, "2 files and 0 B in 1m, 100% done"},
		{Progress{Since: ago(time.Hour), Portion: 1e-300}, "0 files and 0 B in 1h, 0% done, about 365d left"},
	} {
		if got := test.p.Text(now); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
