package rsync

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
)

// dial returns a session over the shared connection of a fixture.
func (f *fixture) dial() *muxSession {
	f.t.Helper()
	s, err := f.tr.open(f.req, nil)
	f.must(err)
	c, err := f.tr.connect(f.t.Context(), s)
	f.must(err)
	m, err := dialMux(c.path)
	f.must(err)
	f.t.Cleanup(func() { _ = m.Close() })
	return m
}

// runMux runs a command at the far end and returns what it writes and its status.
func runMux(t *testing.T, m *muxSession, command string, env []string, input string) (stdout, stderr string, status int) {
	t.Helper()
	var ours, theirs [3]*os.File
	for i := range ours {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ours[i], theirs[i] = r, w
		if i == 0 {
			ours[i], theirs[i] = w, r
		}
		defer r.Close()
		defer w.Close()
	}
	fds := [3]int{int(theirs[0].Fd()), int(theirs[1].Fd()), int(theirs[2].Fd())}
	if err := m.run(command, env, fds); err != nil {
		t.Fatal(err)
	}
	for _, f := range theirs {
		_ = f.Close()
	}
	_, _ = io.WriteString(ours[0], input)
	_ = ours[0].Close()
	out, _ := io.ReadAll(ours[1])
	text, _ := io.ReadAll(ours[2])
	return string(out), string(text), m.wait()
}

// What a session is given arrives, and its status too.
func TestMuxSession(t *testing.T) {
	t.Parallel()
	f, _ := remote(t, sshd.Config{Lines: []string{"AcceptEnv PASSED KEPT"}})
	f.config().SSH.Options = map[string]string{"SendEnv": "PASSED"}
	out, text, status := runMux(t, f.dial(), `cat; echo "$PASSED-$KEPT"; echo error >&2; exit 7`, []string{"PASSED=yes", "KEPT=no"}, "input\n")
	if out != "input\nyes-\n" || text != "error\n" || status != 7 {
		t.Errorf("output %q, error %q, status %d", out, text, status)
	}
	if _, _, status := runMux(t, f.dial(), "kill -KILL $$", nil, ""); status == 0 {
		t.Error("a signal is no success")
	}
	// The parent is the sshd of the connection.
	if _, _, status := runMux(t, f.dial(), "kill -KILL $PPID; sleep 600", nil, ""); status != lostConnection {
		t.Errorf("without its connection: status %d", status)
	}
}

func FuzzMuxRead(f *testing.F) {
	f.Add(muxAppend(nil, 8, muxHello, muxVersion))
	f.Add(muxAppend(nil, uint32(0xffffffff), muxHello))
	f.Add(muxAppend(nil, 0, 0))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		for {
			_, body, err := readMux(r)
			if err != nil {
				break
			}
			if len(body) > len(in) {
				t.Fatalf("%d bytes of %d", len(body), len(in))
			}
			muxNumber(body)
		}
	})
}
