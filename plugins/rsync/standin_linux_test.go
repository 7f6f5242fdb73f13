package rsync

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/run"
)

// There is one ssh for any number of runs; and when a stand-in goes, so does its session.
func TestStandIn(t *testing.T) {
	t.Parallel()
	if !standsIn() {
		t.Skip("this kernel does not hand out the files of other processes")
	}
	f, _ := remote(t, sshd.Config{})
	b := f.prime()
	children := proc.Children(b.process.PID())
	if len(children) != 1 || !strings.HasPrefix(proc.Cmdline(children[0]), "sh -c ") {
		t.Fatalf("children of rsync: %v", children)
	}
	server := slices.DeleteFunc(f.waiting(), func(pid int) bool { return !isServer(pid) })
	f.must(proc.Kill(b.process.PID(), syscall.SIGSTOP)) // it does not end its session itself
	f.must(proc.Kill(children[0], syscall.SIGKILL))
	proc.WaitGone(t, server, 5*time.Second)
}

// A stand-in that the plugin can do nothing for becomes ssh, with all that rsync gave it.
func TestStandInBecomesSSH(t *testing.T) {
	t.Parallel()
	for _, socket := range []string{"/dev/null", t.TempDir() + "/none"} {
		in, err := newStandIn(socket, []string{"sh", "-c", `echo "$*"; cat; for fd in 3 4 5; do [ ! -e /proc/$$/fd/$fd ] || echo open $fd; done; exit 5`, "ssh"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var out buffer
		p, err := run.Start(t.Context(), run.Command{
			Path: in.shell[0], Args: append(slices.Clone(in.shell[1:]), "host", "a b", "'c'"),
			Stdin: strings.NewReader("input\n"), Stdout: &out, Files: []*os.File{in.theirs},
		})
		_ = in.theirs.Close()
		if err != nil {
			t.Fatal(err)
		}
		in.serve()
		exit := p.Wait()
		if want := "host a b 'c'\ninput\n"; out.String() != want || exit.Code != 5 {
			t.Errorf("%s: %v, %q, want %q", socket, exit, out.String(), want)
		}
	}
}

func TestStandInCommand(t *testing.T) {
	t.Parallel()
	in := standIn{shell: []string{"sh", "-c", "script", "ssh", "-x"}}
	for _, tt := range []struct {
		args []string
		want string
		ok   bool
	}{
		{[]string{"host", "rsync", "--server", ".", "a\\ b"}, `rsync --server . a\ b`, true},
		{[]string{"-l", "user", "host", "rsync"}, "rsync", true},
		{[]string{"-l", "user", "host"}, "", false},
		{[]string{"host"}, "", false},
		{nil, "", false},
	} {
		if got, ok := in.command(append(slices.Clone(in.shell), tt.args...)); got != tt.want || ok != tt.ok {
			t.Errorf("%q: %q, %v", tt.args, got, ok)
		}
	}
	if _, ok := in.command([]string{"sh", "-c", "another", "ssh", "-x", "host", "rsync"}); ok {
		t.Error("another process was taken for a stand-in")
	}
}
