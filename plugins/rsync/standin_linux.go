package rsync

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/filewatch/filewatch/sdk/run"
)

// rsync starts a remote shell for each run. To start ssh, only for it to hand its files to the master and to wait then,
// costs a tenth of the processor time of a small change. So what rsync starts is a stand-in, which the plugin does that
// for: it takes the stand-in's standard files, hands them to the master, and tells the stand-in when and how the
// session has ended. Whatever is in the way of that, before anything was sent, has the stand-in become ssh.

// standInScript gets ssh's command. Descriptor 3 leads to the plugin, and becomes standard input and output for good:
// a redirection that ends with its command could be seen while it lasts.
const standInScript = `exec 4<&0 5>&1 <&3 >&3 3>&-
echo $$
read -r answer
[ "$answer" = taken ] || exec "$0" "$@" <&4 >&5 4>&- 5>&-
exec 2>&1 4>&- 5>&-
read -r status
exit "$status"`

// standInFiles are what standard input, output and error of the session are in the stand-in.
var standInFiles = [3]int{4, 5, 2}

// standInTaken is what the stand-in waits for.
const standInTaken = "taken\n"

// standIn is one that is to be started.
type standIn struct {
	socket string   // of the master
	shell  []string // all of its command that is known beforehand
	env    []string // of the session
	ours   net.Conn
	theirs *os.File
}

// standInShell is what rsync is told to start instead of ssh.
func standInShell(ssh []string) []string { return append([]string{"sh", "-c", standInScript}, ssh...) }

// usesStandIn reports whether rsync's remote shell is a stand-in for ssh.
func (s *session) usesStandIn() bool { return s.conn != nil && s.conn.path != "" && standsIn() }

// rsh is what rsync is told to start for a session of its own at the far end.
func (s *session) rsh() []string {
	if s.usesStandIn() {
		return standInShell(s.shell)
	}
	return s.shell
}

// start starts rsync, and serves its stand-in if it has one.
func (s *session) start(ctx context.Context, c run.Command) (*run.Process, error) {
	if !s.usesStandIn() {
		return run.Start(ctx, c)
	}
	in, err := newStandIn(s.conn.path, s.shell, append(run.Environ(), c.Env...))
	if err != nil {
		return nil, err
	}
	c.Files = []*os.File{in.theirs}
	p, err := run.Start(ctx, c)
	_ = in.theirs.Close()
	if err != nil {
		_ = in.ours.Close()
		return nil, err
	}
	go in.serve()
	return p, nil
}

// newStandIn returns a stand-in for ssh with the master at a socket.
func newStandIn(socket string, ssh, env []string) (*standIn, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "stand-in"), os.NewFile(uintptr(fds[1]), "stand-in")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		_ = theirs.Close()
		return nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	return &standIn{socket: socket, shell: standInShell(ssh), env: env, ours: conn, theirs: theirs}, nil
}

// serve does what the stand-in needs and returns when that has ended.
func (in *standIn) serve() {
	defer in.ours.Close() // unless it was told otherwise, the stand-in becomes ssh then
	line, err := bufio.NewReader(in.ours).ReadString('\n')
	if err != nil {
		return // rsync started none
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return
	}
	child, err := openChild(pid)
	if err != nil {
		return
	}
	defer child.Close()
	command, ok := in.command(child.args())
	if !ok {
		return
	}
	m, err := dialMux(in.socket)
	if err != nil {
		return
	}
	defer m.Close()
	go func() {
		child.wait()
		_ = m.Close()
	}()
	if child.lend(standInFiles, func(files [3]int) error { return m.run(command, in.env, files) }) != nil {
		return
	}
	if _, err := in.ours.Write([]byte(standInTaken)); err != nil {
		return
	}
	_, _ = fmt.Fprintln(in.ours, m.wait()) // who is gone needs no status
}

// command returns what the far end is to run: it follows the host's name, which follows what rsync was told to start,
// and perhaps a user.
func (in *standIn) command(args []string) (string, bool) {
	n := len(in.shell)
	if len(args) < n || !slices.Equal(args[:n], in.shell) {
		return "", false
	}
	rest := args[n:]
	if len(rest) > 2 && rest[0] == "-l" {
		rest = rest[2:]
	}
	if len(rest) < 2 {
		return "", false
	}
	return strings.Join(rest[1:], " "), true
}
