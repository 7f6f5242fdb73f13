package rsync

import (
	"strings"
	"testing"
)

// What rsync said in probes of real far ends.
func TestDowngrade(t *testing.T) {
	for _, tt := range []struct {
		name   string
		from   caps
		code   int
		stderr string
		want   caps
		ok     bool
	}{
		{"3.4.3 and 3.2.7 of Debian 12", allCaps, 2, "ERROR: invalid file mode 00 for .filewatch-probe-X\nrsync error: protocol incompatibility (code 2) at flist.c(930) [Receiver=3.2.7]", caps{nanoseconds: true, skips: true}, true},
		{"3.1.2", allCaps, 12, "rsync: -@-1: unknown option\nrsync error: syntax or usage error (code 1) at main.c(1580) [server=3.1.2]\nrsync: connection unexpectedly closed (0 bytes received so far) [sender]", caps{missingArgs: true, skips: true}, true},
		{"3.0.9", allCaps, 12, "rsync: on remote machine: --delete-missing-args: unknown option\nrsync error: syntax or usage error (code 1) at main.c(1430) [server=3.0.9]", caps{nanoseconds: true, skips: true}, true},
		{"3.0.9, second probe", caps{nanoseconds: true, skips: true}, 12, "rsync: on remote machine: -@-1: unknown option", caps{skips: true}, true},
		{"nothing left to drop", caps{skips: true}, 12, "rsync: on remote machine: -@-1: unknown option", caps{skips: true}, false},
		{"another option", allCaps, 12, "rsync: on remote machine: --fsync: unknown option", allCaps, false},
		{"noisy shell", allCaps, 2, "protocol version mismatch -- is your shell clean?", allCaps, false},
		{"connection", allCaps, 255, "ssh: connect to host h port 22: Connection refused", allCaps, false},
	} {
		if got, ok := tt.from.downgrade(tt.code, tt.stderr); got != tt.want || ok != tt.ok {
			t.Errorf("%s: got %+v, %v", tt.name, got, ok)
		}
	}
}

// The probe meets a far end that refuses one option after the other, and ends with what it knows.
func TestProbe(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		refuse []string
		want   caps
	}{
		{nil, allCaps},
		{[]string{"--delete-missing-args"}, caps{nanoseconds: true, skips: true}},
		{[]string{"--modify-window=-1"}, caps{missingArgs: true, skips: true}},
		{[]string{"--delete-missing-args", "--modify-window=-1"}, caps{skips: true}},
	} {
		f := local(t)
		f.write(f.src, "a")
		f.write(f.dst, "gone")
		var script strings.Builder
		for _, o := range tt.refuse {
			script.WriteString(`for a; do if [ "$a" = ` + o + ` ]; then echo "rsync: on remote machine: ` + o + `: unknown option" >&2; exit 12; fi; done; `)
		}
		f.wrap(script.String() + `exec "$rsync" "$@"`)
		f.sync(paths("a", "gone")...)
		f.equal(diffOptions(tt.want))
		for _, known := range f.tr.caps {
			if known.caps != tt.want {
				t.Errorf("refusing %q: found %+v", tt.refuse, known.caps)
			}
		}
	}
}
