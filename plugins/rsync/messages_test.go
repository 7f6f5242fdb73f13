package rsync

import (
	"fmt"
	"testing"
)

func TestMessages(t *testing.T) {
	p := places{roots: []string{"/src", "/real/src"}, destination: "/dst"}
	for _, tt := range []struct {
		line     string
		path     string
		vanished bool
		text     string
	}{
		{`rsync: [sender] send_files failed to open "/src/d/a": Permission denied (13)`, "d/a", false, "permission denied reading it at the source"},
		{`rsync: [sender] send_files failed to open "/real/src/a": Input/output error (5)`, "a", false, "input/output error at the source (send_files failed to open)"},
		{`rsync: [sender] opendir "/src/p" failed: Permission denied (13)`, "p", false, "permission denied reading it at the source"},
		{`rsync: [sender] readlink_stat("/src/p") failed: No such file or directory (2)`, "p", true, "no such file or directory at the source (readlink_stat)"},
		{`rsync: [sender] link_stat "/src/a/b" failed: Not a directory (20)`, "a/b", true, "not a directory at the source (link_stat)"},
		{`file has vanished: "/src/a\#012b"`, "a\nb", true, "vanished at the source"},
		{`directory has vanished: "/src/d"`, "d", true, "vanished at the source"},
		{`rsync: [receiver] mkstemp "/dst/d/.a b.Xy9ZaQ" failed: No space left on device (28)`, "d/a b", false, "no space left at the destination"},
		{`rsync: [generator] recv_generator: mkdir "/dst/d" failed: Read-only file system (30)`, "d", false, "the file system is read-only at the destination"},
		{`rsync: [generator] failed to set times on "/dst/.": Operation not permitted (1)`, "", false, "operation not permitted at the destination (failed to set times on)"},
		{`rsync: [generator] delete_file: unlink(a (1)/b) failed: Permission denied (13)`, "a (1)/b", false, "permission denied at the destination (delete_file: unlink)"},
		{`rsync: [receiver] rename "/dst/.a.Xy9ZaQ" -> "a": Text file busy (26)`, ".a.Xy9ZaQ", false, "text file busy at the destination (rename)"},
		{`rsync: [sender] link_stat "/src/a" -> "b" failed: No such file or directory (2)`, `a" -> "b`, true, "no such file or directory at the source (link_stat)"},
		{`rsync: [sender] send_files failed to open "/src/a": b (2)": Permission denied (13)`, `a": b (2)`, false, "permission denied reading it at the source"},
		{`rsync: [generator] symlink "/dst/l" -> "x" failed: Disk quota exceeded (122)`, "l", false, "the disk quota is used up at the destination"},
		{`could not make way for new regular file: a: b`, "a: b", false, textWay},
		{`rsync: [generator] chown "/dst/q"uote" failed: Operation not permitted (1)`, `q"uote`, false, "operation not permitted at the destination (chown)"},
		{`rsync: send_files failed to open "/src/old": Permission denied (13)`, "old", false, "permission denied (send_files failed to open)"},
	} {
		var m messages
		fmt.Fprintln(&m, tt.line)
		if len(m.list) != 1 || m.other {
			t.Errorf("%s: not understood", tt.line)
			continue
		}
		rel, ok := p.relative(m.list[0])
		if !ok || rel != tt.path || m.list[0].vanished != tt.vanished || m.list[0].text() != tt.text {
			t.Errorf("%s:\n got %q (%v), vanished %v, %q\nwant %q, vanished %v, %q", tt.line, rel, ok, m.list[0].vanished, m.list[0].text(), tt.path, tt.vanished, tt.text)
		}
	}
}

// A line that is about no path keeps a partial failure from being told apart; the last line does not.
func TestMessagesOther(t *testing.T) {
	for line, want := range map[string]bool{
		"rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394) [sender=3.5.0]": false,
		"rsync warning: some files vanished before they could be transferred (code 24) at main.c(1394) [sender=3.5.0]":      false,
		"WARNING: parent dir is absent in the file list: a b":                                                               false,
		"": false,
		"IO error encountered -- skipping file deletion": true,
		"something new": true,
	} {
		var m messages
		fmt.Fprintln(&m, line)
		if m.other != want || len(m.list) != 0 {
			t.Errorf("%q: %+v", line, m)
		}
	}
}
