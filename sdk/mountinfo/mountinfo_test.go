package mountinfo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const table = `22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw
31 30 0:31 /sub /srv/with\040space\011tab\012nl\134\043\999 rw shared:2 master:1 - tmpfs  rw
x 30 0:31 / /srv rw - tmpfs none rw
not a mount
34 32 0:34 / /srv/nfs rw - nfs4 host:/x\040y rw
`
	want := []Mount{
		{22, 1, "259:1", "/", "/", "ext4", "/dev/root"},
		{31, 30, "0:31", "/sub", "/srv/with space\ttab\nnl\\#\\999", "tmpfs", ""},
		{34, 32, "0:34", "/", "/srv/nfs", "nfs4", "host:/x y"},
	}
	if diff := cmp.Diff(want, Parse(table)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`1 2 0:3 / a\040b\134 - x`)
	f.Add(`1 2 0:3 / \04 - x`)
	f.Add(`1 2 0:3 / \999\ - `)
	f.Fuzz(func(t *testing.T, table string) {
		for _, m := range Parse(table) {
			if len(m.Point) > len(table) || !strings.Contains(table, `\`) && !strings.Contains(table, m.Point) {
				t.Errorf("%q gave %q", table, m.Point)
			}
		}
	})
}

func TestRemote(t *testing.T) {
	for fstype, want := range map[string]bool{
		"nfs4": true, "cifs": true, "9p": true, "fuse": true, "fuse.sshfs": true, "fuse.whatever": true,
		"fuseblk": false, "fusectl": false, "ext4": false, "tmpfs": false, "overlay": false,
	} {
		if Remote(fstype) != want {
			t.Errorf("%s: %t", fstype, !want)
		}
	}
}
