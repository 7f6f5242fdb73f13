package filter

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustParse(t testing.TB, patterns ...string) *Filter {
	t.Helper()
	f, err := Parse(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestExcluded writes directories with a trailing slash.
func TestExcluded(t *testing.T) {
	tests := []struct {
		name     string
		patterns []string
		in       []string
		out      []string
	}{
		{"nothing", nil, []string{"a", "a/b/"}, nil},
		{"name", []string{"foo"}, []string{"foobar", "xfoo", "Foo"}, []string{"foo", "foo/", "a/foo", "a/foo/b", "foo/a/b"}},
		{"suffix", []string{"*.swp"}, []string{"swp", "a.swpx", ".swp.a"}, []string{"a.swp", ".swp", "d/.a.swp", "d.swp/a"}},
		{"directory", []string{".git/"}, []string{".git", "a/.git", ".gitignore", "x.git/"}, []string{".git/", ".git/HEAD", "a/.git/", "a/.git/objects/"}},
		{"anchored", []string{"/cache/"}, []string{"cache", "a/cache/", "a/cache/x", "/"}, []string{"cache/", "cache/a"}},
		{"tail", []string{"foo/bar"}, []string{"bar", "foo/x/bar", "xfoo/bar"}, []string{"foo/bar", "a/foo/bar", "a/foo/bar/b"}},
		{"star", []string{"a*z"}, []string{"a", "a/z", "za", "azb"}, []string{"az", "abz", "d/a-z"}},
		{"star in a path", []string{"foo/*/bar"}, []string{"foo/bar", "foo/a/b/bar"}, []string{"foo/a/bar", "x/foo/a/bar/"}},
		{"two stars", []string{"/foo/**/bar"}, []string{"foo/bar", "x/foo/a/bar"}, []string{"foo/a/bar", "foo/a/b/bar"}},
		{"two stars first", []string{"**/tmp"}, []string{"xtmp", "a/xtmp"}, []string{"tmp", "a/tmp", "a/b/tmp/c"}},
		{"two stars inside", []string{"a**z"}, []string{"ba/z", "a/zy"}, []string{"az", "a/z", "d/ab/cz"}},
		{"three stars", []string{"dir/***"}, []string{"dir", "xdir/"}, []string{"dir/", "dir/a", "dir/a/b/", "x/dir/", "x/dir/a"}},
		{"below only", []string{"dir/**"}, []string{"dir", "dir/", "x/dir/"}, []string{"dir/a", "x/dir/a/b"}},
		{"question mark", []string{"a?c"}, []string{"ac", "a/c", "abbc"}, []string{"abc", "a?c", "a\xffc", "a\nc"}},
		{"question mark is a byte", []string{"a?"}, []string{"aé"}, []string{"ab"}},
		{"set", []string{"[a-c]x"}, []string{"dx", "x", "-x"}, []string{"ax", "bx", "cx"}},
		{"inverted set", []string{"[!a-c]x", "[^a]y"}, []string{"ax", "ay"}, []string{"dx", "!x", "by", "\x80x"}},
		{"no set holds a slash", []string{"/a[!x]b", "/a[/.]c", "/a[[:punct:]]d"}, []string{"axb", "a/b", "a/c", "a/d"}, []string{"a.b", "a.c", "a.d"}},
		{"class", []string{"[[:digit:][:upper:]_]"}, []string{"a", "é", ":"}, []string{"0", "Z", "_"}},
		{"a minus begins no range after a class or a range", []string{"[[:digit:]-a]", "[0-1-c]z"}, []string{"A", "b", "Az", "bz"}, []string{"a", "-", "5", "-z", "0z", "cz"}},
		{"set with odd members", []string{"[]-]", "[a\\]]!", "[[:x]"}, []string{"a", "\\!"}, []string{"]", "-", "a!", "]!", "[", ":", "x"}},
		{"backslash without wildcard", []string{`a\b`}, []string{"ab"}, []string{`a\b`}},
		{"backslash with wildcard", []string{`a\b\**`}, []string{`a\b*`, "abc"}, []string{"ab*", "ab*c"}},
		{"escaped bracket", []string{`\[x]`}, nil, []string{"[x]"}},
		{"first match wins", []string{"+ *.conf", "*"}, []string{"a.conf", "d.conf/a.conf"}, []string{"a", "d/", "d/a.conf", "d.conf/b"}},
		{"explicit exclude", []string{"- a b", "- - c"}, []string{"- a b", "b", "c"}, []string{"a b", "- c"}},
		{"exclude an exclamation mark", []string{"- !"}, nil, []string{"!"}},
		{"exclamation mark clears", []string{"a", "!", "b"}, []string{"a"}, []string{"b"}},
		{"exclamation mark in a name", []string{"!a"}, []string{"a"}, []string{"!a"}},
		{"dash without a space", []string{"-a", "+a", "-"}, []string{"a"}, []string{"-a", "+a", "-"}},
		{"include keeps nothing below an excluded directory", []string{"+ /d/keep", "/d/"}, []string{"d"}, []string{"d/", "d/keep"}},
		{"include below", []string{"+ /d/keep", "/d/*"}, []string{"d/", "d/keep", "d/keep/x"}, []string{"d/a", "d/a/keep"}},
		{"spaces and hashes", []string{" a ", "#b", ";c"}, []string{"a", " a", "b"}, []string{" a ", "#b", ";c"}},
		{"bytes", []string{"\xff*"}, []string{"\xfe"}, []string{"\xff", "\xffa"}},
		{"slash alone", []string{"/", "//"}, []string{"a", "a/"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := mustParse(t, tt.patterns...)
			check := func(entry string, want bool) {
				path := strings.TrimSuffix(entry, "/")
				if got := f.Excluded(path, path != entry); got != want {
					t.Errorf("%q: Excluded(%q) = %v, want %v", tt.patterns, entry, got, want)
				}
			}
			for _, e := range tt.in {
				check(e, false)
			}
			for _, e := range tt.out {
				check(e, true)
			}
			check("", false)
			check("/", false)
		})
	}
}

func TestMatchLooksAtOneEntry(t *testing.T) {
	f := mustParse(t, "/cache/")
	if !f.Match("cache", true) || f.Match("cache/a", false) || !f.Excluded("cache/a", false) {
		t.Error("Match must judge the entry alone, Excluded the directories above it too")
	}
}

func TestExcludedMissing(t *testing.T) {
	f := mustParse(t, "+ link/", "cache/", "*.tmp", "link")
	for path, want := range map[string]bool{
		"a":           false,
		"a.tmp":       true,
		"cache":       true, // may be a directory there
		"cache/x":     true, // the directory above it is excluded whatever x is
		"link":        true, // may be a file there
		"link/x":      false,
		"d/cache/x/y": true,
		"":            false,
	} {
		if got := f.ExcludedMissing(path); got != want {
			t.Errorf("ExcludedMissing(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	patterns := []string{"ok", "", "- ", "+ ", "a\x00b", "a\nb", "[a", `*\`, `[a\`, "[[:nope:]]", "[]", "[a-", "*.ok", strings.Repeat("a", maxPattern), `x*\/`}
	want := map[int]string{
		1: "empty", 2: "nothing follows", 3: "nothing follows", 4: "newline", 5: "newline", 6: "no closing", 7: "backslash",
		8: "no closing", 9: "[:nope:]", 10: "no closing", 11: "no closing", 13: "4095", 14: "backslash",
	}
	_, err := Parse(patterns)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("Parse: %v", err)
	}
	got := map[int]bool{}
	for _, err := range joined.Unwrap() {
		e, ok := errors.AsType[*PatternError](err)
		if !ok {
			t.Fatalf("not a PatternError: %v", err)
		}
		got[e.Index] = true
		if text := want[e.Index]; text == "" || !strings.Contains(e.Error(), text) || e.Pattern != patterns[e.Index] {
			t.Errorf("pattern %d: %v; want %q", e.Index, e, text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("refused %v, want %v", got, want)
	}
	if e, ok := errors.AsType[*PatternError](err); !ok || e.Index != 1 {
		t.Errorf("the first error is %v, want that of pattern 1", e)
	}
}

func TestEmptyAndNil(t *testing.T) {
	var none *Filter
	if !none.Empty() || none.Excluded("a", false) || none.Match("a", true) || none.ExcludedMissing("a") || none.RsyncArgs() != nil {
		t.Error("a nil filter excludes something")
	}
	for _, patterns := range [][]string{nil, {"+ a"}, {"a", "!"}} {
		if !mustParse(t, patterns...).Empty() {
			t.Errorf("%q is not empty", patterns)
		}
	}
	if mustParse(t, "+ a", "b").Empty() {
		t.Error("a filter that excludes is empty")
	}
}

func TestParseKeepsNoReference(t *testing.T) {
	patterns := []string{"a"}
	f := mustParse(t, patterns...)
	patterns[0] = "b"
	if diff := cmp.Diff([]string{"--exclude=a"}, f.RsyncArgs()); diff != "" {
		t.Error(diff)
	}
}

func TestConcurrentUse(t *testing.T) {
	f := mustParse(t, "*.swp", "/a/**/b*", "[a-z]x")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if !f.Excluded("a/c/d/bb", false) || f.Excluded("a/c", true) {
					t.Error("wrong answer")
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	f := mustParse(t, "+ *.conf", "*.swp", ".git/", "/cache/", "a/b", "**/x?z", "dir/***", "a*[b-d]*e", "/p/*/q")
	if n := testing.AllocsPerRun(100, func() {
		f.Excluded("src/dir2/some/deep/file.go", false)
		f.Excluded("dir", true)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestHostileWildcards would not end in this century with a matcher that tries all the ways to match.
func TestHostileWildcards(t *testing.T) {
	name := strings.Repeat("a", 255)
	deep := strings.Repeat(name+"/", 15) + name
	for _, pattern := range []string{
		strings.Repeat("*a", 30) + "b",
		"/" + strings.Repeat("*a", 30) + "b",
		strings.Repeat("**a", 30) + "b",
		strings.Repeat("**a*a", 30) + "b",
		"x/" + strings.Repeat("*a**", 30) + "b",
		strings.Repeat("*", 60) + "b",
		"/" + strings.Repeat("*[!x]", 30) + "*b",
		strings.Repeat("*/", 16) + "*b",
	} {
		f := mustParse(t, pattern)
		if f.Excluded(name, false) || f.Excluded(deep, false) {
			t.Errorf("%.20q… matches", pattern)
		}
	}
}
