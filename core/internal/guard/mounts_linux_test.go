package guard

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMounts(t *testing.T) {
	got := parseMounts(`36 35 98:0 /sub /my\040dir\134x rw,noatime master:1 shared:2 - ext4 /dev/sd\011b1 rw
broken line
37 35 0:9 / /none rw - tmpfs  rw
38 35 0:10 / /fuse rw - fuse.sshfs u@h:/a\043b rw,user_id=0
`)
	want := []mountEntry{
		{"36", "ext4", Mount{Root: "/sub", Point: `/my dir\x`, Source: "/dev/sd\tb1"}},
		{"37", "tmpfs", Mount{Root: "/", Point: "/none"}},
		{"38", "fuse.sshfs", Mount{Root: "/", Point: "/fuse", Source: "u@h:/a#b"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mountEntry{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add("36 35 98:0 /sub /my\\040dir rw - ext4 /dev/sdb1 rw\n")
	f.Add("1 2 3 \\4 \\400 \\07 x - \\1 \\")
	f.Fuzz(func(t *testing.T, text string) {
		if n := len(parseMounts(text)); n > strings.Count(text, "\n")+1 {
			t.Errorf("%d mounts in %q", n, text)
		}
	})
}
