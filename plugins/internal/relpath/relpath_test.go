package relpath

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTopmost(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", ""},
		{"b a", "a b"},
		{"a a/b a-b a/b/c", "a a-b"}, // "a-b" sorts between "a" and "a/b"
		{"a/b a/b", "a/b"},
	} {
		if got := strings.Join(Topmost(strings.Fields(tc.in)), " "); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.in, got, tc.want)
		}
	}
	if got := Topmost([]string{"a", ""}); !cmp.Equal(got, []string{""}) {
		t.Errorf("got %q, want the root", got)
	}
}

func TestFewer(t *testing.T) {
	var paths []string
	for i := range 100 {
		paths = append(paths, fmt.Sprintf("a/%02d/x", i), fmt.Sprintf("b/%02d", i))
	}
	paths = Topmost(paths)
	for _, tc := range []struct {
		limit int
		want  []string
	}{
		{1000, paths},
		{150, []string{"a", "b"}},
		{1, []string{""}},
	} {
		if diff := cmp.Diff(tc.want, Fewer(paths, tc.limit)); diff != "" {
			t.Errorf("limit %d: -want +got\n%s", tc.limit, diff)
		}
	}
}
