package guard

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

func FuzzPath(f *testing.F) {
	for _, s := range []string{"", "/a", "a\xffb", `a\b`, `\x41`, "\xf0\x9f", "a\n\t\"", "é", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, err := json.Marshal(Path(s))
		if err != nil {
			t.Fatal(err)
		}
		var back Path
		if err := json.Unmarshal(text, &back); err != nil || string(back) != s {
			t.Errorf("%q: %s reads as %q, %v", s, text, back, err)
		}
		var direct Path // anything at all may stand in a file
		if direct.UnmarshalText([]byte(s)) == nil {
			again, _ := direct.MarshalText()
			var twice Path
			if err := twice.UnmarshalText(again); err != nil || twice != direct {
				t.Errorf("%q reads as %q, and that as %q, %v", s, direct, twice, err)
			}
		}
		if p := Path(s).String(); strings.ContainsAny(p, "\n\x1b\x00") || p == "" {
			t.Errorf("%q prints as %q", s, p)
		}
	})
}

func TestPathForShell(t *testing.T) {
	for _, s := range []string{"/srv/site", "", "/my dir", "it's", "-rf", "$(x)`y`", "a\nb", "*", "é\xff", `\`} {
		out, err := exec.Command("sh", "-c", "printf %s "+Path(s).shell()).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q: a shell reads %q, %v", s, out, err)
		}
	}
}
