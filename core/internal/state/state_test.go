package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/core/internal/guard"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 123, time.UTC)

// example is a state in which nothing is zero, with n somewhere in it.
func example(n uint64) Sync {
	return Sync{
		Source: guard.Source{
			Path: "/srv/\xff\n",
			Identity: guard.Identity{
				Type: "ext4", UUID: "aa", Inode: 7, Born: 5, Path: "/srv/\xff\n", Handle: "1:02",
				Mount: guard.Mount{Point: "/srv", Source: "/dev/sdb1", Root: "/"},
			},
			Entries:    n,
			MayBeEmpty: true,
			Held:       &guard.Hold{Kind: guard.Missing, Since: noon, Seen: "it is not there", Lost: "all", Remedy: "put it back"},
		},
		Mounts: Mounts{Boot: "b", List: []Mount{{Path: "x/\xff", ID: 1, Key: "k\xfe", What: "w", Lasting: true, Waiting: true}}},
		Destinations: []Destination{
			{To: "h:/a", FullSync: noon, Confirmed: noon.Add(time.Second), Hold: &guard.Hold{Kind: guard.Deletions, Since: noon, Count: 3, Sample: []guard.Path{"x\xfe"}}},
			{To: "/b\xff"},
		},
		Paused: true,
	}
}

func TestRoundTrip(t *testing.T) {
	for _, s := range []Sync{{}, example(1)} {
		text, err := encode("site", s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode("site", text)
		if diff := cmp.Diff(s, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}

func TestDestination(t *testing.T) {
	s := Sync{}
	s.Destination("a").Confirmed = noon
	s.Destination("b").FullSync = noon
	if s.Destination("a").Confirmed != noon || len(s.Destinations) != 2 {
		t.Errorf("%+v", s)
	}
}

// TestDamage: whatever is cut off or turned around in a file, it is refused, or it says the same.
func TestDamage(t *testing.T) {
	text, err := encode("site", example(1))
	if err != nil {
		t.Fatal(err)
	}
	want := example(1)
	check := func(what string, damaged []byte) {
		t.Helper()
		got, err := decode("site", damaged)
		if err != nil && !cmp.Equal(got, Sync{}) {
			t.Fatalf("%s: an error, and %+v", what, got)
		}
		if err == nil && !cmp.Equal(got, want) {
			t.Fatalf("%s: read as %+v", what, got)
		}
	}
	for i := range text[:len(text)-2] {
		check(fmt.Sprint("cut at ", i), text[:i])
		if _, err := decode("site", text[:i]); err == nil {
			t.Fatalf("cut at %d: no error", i)
		}
		check(fmt.Sprint("zeros from ", i), append(bytes.Clone(text[:i]), make([]byte, len(text)-i)...))
		for bit := range 8 {
			damaged := bytes.Clone(text)
			damaged[i] ^= 1 << bit
			check(fmt.Sprintf("bit %d of byte %d", bit, i), damaged)
		}
	}
}

// sealed returns a file with any content and the checksum that fits.
func sealed(name, inner string) []byte {
	return fmt.Appendf(nil, `{"version":1,"name":%q,"sum":%q,"sync":%s}`, name, sum([]byte(inner)), inner)
}

func TestInvalid(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{``, "not JSON"},
		{`null`, "no version 0"},
		{`[]`, "not JSON"},
		{`{"version":0}`, "no version 0"},
		{`{"version":-1}`, "no version -1"},
		{`{"version":2,"shape":"other"}`, "version 2, which only a newer filewatch"},
		{string(sealed("other", `{}`)), `the state of "other"`},
		{strings.Replace(string(sealed("site", `{}`)), `"sync"`, `"more":1,"sync"`, 1), "unknown field"},
		{string(sealed("site", `{}`)) + "x", "invalid character"},
		{string(sealed("site", `{"paused":true}`)) + `{}`, "after top-level value"},
		{string(sealed("site", `{"unheard_of":1}`)), "unknown field"},
		{string(sealed("site", `{"source":{"path":"relative"}}`)), "not absolute"},
		{string(sealed("site", `{"source":{"path":"","identity":{"inode":1}}}`)), "without a source"},
		{string(sealed("site", `{"source":{"path":"/a","entries":-1}}`)), "cannot unmarshal"},
		{string(sealed("site", `{"source":{"path":"/a\\q"}}`)), "backslash"},
		{string(sealed("site", `{"source":{"path":"/a","held":{"kind":"odd","since":"2026-01-01T00:00:00Z","seen":""}}}`)), "unknown kind"},
		{string(sealed("site", `{"destinations":[{"to":"a"},{"to":"a"}]}`)), "twice"},
		{string(sealed("site", `{"destinations":[{"to":""}]}`)), "without a name"},
		{string(sealed("site", `{"destinations":[{"to":"a","hold":{"kind":"deletions"}}]}`)), "since never"},
	} {
		if _, err := decode("site", []byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.text, err, test.want)
		}
	}
	if _, err := encode("site", Sync{Destinations: []Destination{{}}}); err == nil {
		t.Error("what cannot be read was written")
	}
}

// FuzzDecode: what decode takes is valid, and encode writes it so that it reads the same.
func FuzzDecode(f *testing.F) {
	text, err := encode("site", example(1))
	if err != nil {
		f.Fatal(err)
	}
	var outer file
	if err := json.Unmarshal(text, &outer); err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(outer.Sync))
	f.Add([]byte(`{"version":1,"name":"site"}`))
	f.Add([]byte(`{"destinations":[{"to":"\\xff","full_sync":"9999-12-31T23:59:59.999999999-23:59"}],"Paused":true,"paused":null}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, text := range [][]byte{in, sealed("site", string(in))} {
			s, err := decode("site", text)
			if err != nil {
				continue
			}
			if err := s.valid(); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			again, err := encode("site", s)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			back, err := decode("site", again)
			if diff := cmp.Diff(s, back); err != nil || diff != "" {
				t.Fatalf("%s: %v\n%s", text, err, diff)
			}
		}
	})
}
