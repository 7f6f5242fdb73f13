package mounts

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/filewatch/filewatch/sdk/mountinfo"
)

func TestVisible(t *testing.T) {
	// As the kernel writes it: ID parent device root mountpoint options - type source options
	const base = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n" +
		"21 20 0:5 / /proc rw shared:5 - proc proc rw\n" +
		"22 20 8:2 / /srv rw - xfs /dev/sda2 rw\n"
	for _, tt := range []struct {
		name, table, root string
		want              []string // path: id
	}{
		{"none", base, "/srv", nil},
		{"below the root directory", base, "/", []string{"proc: 21", "srv: 22"}},
		{"one", base + "30 22 0:9 / /srv/a\\040b/c rw - tmpfs none rw\n", "/srv", []string{"a b/c: 30"}},
		{"not where the name only begins alike", base + "30 20 0:9 / /srv2/a rw - tmpfs none rw\n", "/srv", nil},
		{"two at one place", base + "30 22 0:9 / /srv/d rw - tmpfs none rw\n31 30 0:10 / /srv/d rw - tmpfs none rw\n", "/srv", []string{"d: 31"}},
		{"one in the other", base + "30 22 0:9 / /srv/d rw - tmpfs none rw\n31 30 0:10 / /srv/d/e rw - tmpfs none rw\n", "/srv", []string{"d: 30", "d/e: 31"}},
		{"hidden by a later one above", base + "30 22 0:9 / /srv/d/e rw - tmpfs none rw\n31 22 0:10 / /srv/d rw - tmpfs none rw\n", "/srv", []string{"d: 31"}},
		{"hidden by one over the root", base + "30 22 0:9 / /srv/d rw - tmpfs none rw\n31 22 0:10 / /srv rw - tmpfs none rw\n", "/srv", nil},
		{"the root's own mount", base + "30 22 0:9 / /srv/r rw - tmpfs none rw\n31 30 0:10 / /srv/r/x rw - tmpfs none rw\n", "/srv/r", []string{"x: 31"}},
		{"a table that makes no sense", "1 1 0:0 / / rw - a b c\n2 3 0:0 / /x rw - a b c\n3 2 0:0 / /x rw - a b c\nrubbish\n", "/", nil},
	} {
		var got []string
		all := visible(mountinfo.Parse(tt.table), tt.root)
		for _, p := range slices.Sorted(maps.Keys(all)) {
			got = append(got, fmt.Sprintf("%s: %d", p, all[p].ID))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzVisible(f *testing.F) {
	f.Add("20 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 20 8:2 / /srv rw - xfs /dev/sda2 rw\n", "/srv")
	f.Fuzz(func(t *testing.T, table, root string) {
		for p := range visible(mountinfo.Parse(table), root) {
			if p == "" {
				t.Error("the root is below itself")
			}
		}
	})
}
