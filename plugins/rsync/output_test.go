package rsync

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOutput(t *testing.T) {
	lines := `sending incremental file list
.d..t......|4096|0|./
cd+++++++++|4096|0|new dir/
>f+++++++++|12|45|new dir/a|b|c
<f.st......|12|7|up
.f...p.....|3|0|mode
cL+++++++++|1|0|link
*deleting  |0|0|gone/x
*deleting  |0|0|gone/
>f+++++++++|1|0|nl\#012\#134#012 \#303\#251
cannot delete non-empty directory: kept\#011/d
*deleting gone
Number of files: 1,234,568 (reg: 1,000,000, dir: 234,568)
Deletions stopped due to --max-delete limit (17 skipped)
IO error encountered -- skipping file deletion
`
	for _, size := range []int{1, 7, 1000} {
		o := output{keep: true}
		for s := lines; s != ""; {
			n := min(size, len(s))
			if _, err := o.Write([]byte(s[:n])); err != nil {
				t.Fatal(err)
			}
			s = s[n:]
		}
		want := []string{"", "new dir", "new dir/a|b|c", "up", "mode", "link", "nl\n\\#012 é"}
		if diff := cmp.Diff(want, o.paths); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"gone/x", "gone"}, o.extra); diff != "" {
			t.Error(diff)
		}
		if o.files != 6 || o.deleted != 2 || o.bytes != 52 || !o.deletionsOff || o.entries != 1234567 || o.skipped != 17 || !cmp.Equal(o.kept, []string{"kept\t/d"}) {
			t.Errorf("%+v", o)
		}
	}
}

func TestOutputIsBounded(t *testing.T) {
	o := output{keep: true}
	for i := range 3 * maxPaths {
		fmt.Fprintf(&o, ">f+++++++++|1|1|%d\ncannot delete non-empty directory: %d\n", i, i)
	}
	fmt.Fprint(&o, strings.Repeat("x", 3*maxLine))
	if len(o.paths) != maxPaths+1 || len(o.kept) != maxPaths+1 || len(o.lines.rest) > 4*maxLine || o.files != 3*maxPaths {
		t.Errorf("%d paths, %d kept, %d bytes, %d files", len(o.paths), len(o.kept), len(o.lines.rest), o.files)
	}
}

// escape is what rsync does to names in the locale C.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		isEscape := s[i] == '\\' && i+4 < len(s) && s[i+1] == '#' && strings.Trim(s[i+2:i+5], "0123456789") == ""
		if s[i] < 0x20 || s[i] >= 0x7f || isEscape {
			fmt.Fprintf(&b, "\\#%03o", s[i])
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"a", "\n", `\#012`, `\\#012`, `\#134#012`, "é", `\#999`, `\#01`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := unescape(escape(s)); got != s {
			t.Errorf("%q becomes %q and then %q", s, escape(s), got)
		}
		_ = unescape(s)
		o := output{keep: true}
		fmt.Fprintf(&o, ">f+++++++++|1|2|%s\n", escape(s))
		if want := strings.TrimPrefix(strings.TrimSuffix(s, "/"), "./"); want != "." && (len(o.paths) != 1 || o.paths[0] != want) {
			t.Errorf("%q is read as %q", s, o.paths)
		}
	})
}

func FuzzMessages(f *testing.F) {
	f.Add(`rsync: [sender] send_files failed to open "/src/a": Permission denied (13)`)
	f.Fuzz(func(t *testing.T, s string) {
		var m messages
		fmt.Fprintln(&m, s)
		p := places{roots: []string{"/src"}, destination: "/dst"}
		for _, msg := range m.list {
			_ = msg.text()
			if rel, ok := p.relative(msg); ok && strings.HasPrefix(msg.path, "/") && strings.HasPrefix(rel, "/") {
				t.Errorf("%q: %q", s, rel)
			}
		}
		_, _ = m.vanished(p)
		_ = m.textFor(p, "a")
	})
}
