package rsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/run"
)

// moveScript is the first part of what a POSIX shell at the destination reads; the moves follow when it has
// answered. Whatever somebody else does there meanwhile, it renames within the destination or does nothing:
//
//   - It enters the two directories and asks the kernel where it is then: no symlink leads it elsewhere. From
//     there on it uses no path but the names in them, one of the directories being open as descriptor 3.
//   - mv -nT replaces nothing and goes into nothing. Where it cannot rename, as from one file system to another,
//     it would copy; but it must not write a byte.
//   - A directory that is made is nobody else's to enter until the transfer gives it its mode.
//   - Moves that were long on their way are too old.
const moveScript = `unset CDPATH
ulimit -f 0 || exit
cd -P %s || exit
root=$(env pwd -P; echo x)
root=${root%%?x}
root=${root%%/}
began=$(date +%%s)
moved=0
enter() {
	cd -P "$root/$1" || return
	at=$(env pwd -P; echo x)
	[ "${at%%?x}" = "$root${1:+/}$1" ]
}
make() {
	enter "$1" && [ -e "./$2" ] && enter "$3" && mkdir -m 700 -- "./$4"
} 2>/dev/null
move() {
	enter "$3" || return
	if [ -e "./$4" ] || [ -h "./$4" ]; then return; fi
	case $1 in
	"$3") mv -nT -- "./$2" "./$4" ;;
	*) { enter "$1" && mv -nT -- "./$2" "/proc/self/fd/3/$4"; } 3<. ;;
	esac && moved=$((moved + 1))
}
echo "filewatch: ${x-}ready"
`

const (
	moveReady  = "filewatch: ready\n"
	movedCount = "filewatch: moved "
	// moveAge is how old moves may be when they arrive, in seconds.
	moveAge = 10
	// readyTimeout is ample for a shell to start.
	readyTimeout = 5 * time.Second
)

var errNoCommands = errors.New("the destination runs no commands")

// mayCommand reports whether the far end may run commands, as far as is known: for all that it does not, once
// for each connection.
func (s *session) mayCommand() bool {
	if s.req.Destination.Scheme == sdk.SchemeLocal {
		return true
	}
	master := s.master()
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	return master != nil && s.t.mute[s.peer()] != master
}

// doMoves does moves at the destination, in their order, and returns how many it has done.
func (s *session) doMoves(ctx context.Context, moves []move) (int, error) {
	command := []string{"sh"}
	if d := s.req.Destination; d.Scheme == sdk.SchemeSSH {
		command = s.shell
		if d.User != "" {
			command = append(command[:len(command):len(command)], "-l", d.User)
		}
		// Only sh reads names: the login shell may be any.
		command = append(command[:len(command):len(command)], d.Host, "env LC_ALL=C sh")
	}
	stdin, script := io.Pipe()
	answer := &answer{ready: make(chan struct{})}
	p, err := run.Start(ctx, run.Command{
		Path: command[0], Args: command[1:], Env: []string{"LC_ALL=C"}, Stdin: stdin, Stdout: answer,
	})
	if err != nil {
		return 0, err
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	defer stdin.Close()
	writing.Go(func() {
		defer script.Close()
		if _, err := fmt.Fprintf(script, moveScript, shellQuote(s.root0())); err != nil {
			return
		}
		select {
		case <-answer.ready:
			_, _ = io.WriteString(script, moveCommands(moves)) // or the process has ended
		case <-p.Done():
		}
	})
	early, late := time.AfterFunc(readyTimeout, func() {
		if !answer.isReady() {
			p.Stop()
		}
	}), time.AfterFunc(readyTimeout+s.config.Timeout, p.Stop)
	defer early.Stop()
	defer late.Stop()
	exit := p.Wait()
	if !answer.isReady() && ctx.Err() == nil {
		if master := s.master(); master != nil {
			s.t.mu.Lock()
			s.t.mute[s.peer()] = master
			s.t.mu.Unlock()
		}
		return 0, fmt.Errorf("%w: %s", errNoCommands, orElse(firstLine(exit.Stderr), exit.String()))
	}
	done := answer.moved()
	if done < len(moves) {
		return done, errors.New(orElse(firstLine(exit.Stderr), exit.String()))
	}
	return done, nil
}

// root0 is the destination directory for a shell at the far end, which starts where rsync does.
func (s *session) root0() string {
	p := s.req.Destination.Path
	if s.req.Destination.Scheme == sdk.SchemeSSH {
		p = remotePath(p)
	}
	if !strings.HasPrefix(p, "/") {
		p = "./" + p
	}
	return p
}

// moveCommands is the second part of the script.
func moveCommands(moves []move) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[ $(($(date +%%s) - began)) -lt %d ] || exit\n", moveAge)
	made := map[string]bool{}
	for _, m := range moves {
		for _, dir := range m.dirs {
			if !made[dir] {
				made[dir] = true
				writeCommand(&b, "make", m.from, dir)
			}
		}
		writeCommand(&b, "move", m.from, m.to)
	}
	b.WriteString("echo \"" + movedCount + "$moved\"\n")
	return b.String()
}

// writeCommand writes a call of one of the script's functions, with the directory and the name of each path.
func writeCommand(b *strings.Builder, function string, paths ...string) {
	b.WriteString(function)
	for _, p := range paths {
		dir, name := path.Split(p)
		b.WriteString(" " + shellQuote(strings.TrimSuffix(dir, "/")) + " " + shellQuote(name))
	}
	b.WriteByte('\n')
}

// shellQuote quotes any bytes but NUL for a POSIX shell in the locale C.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// answer is what the shell has written. Its start files may have written something before.
type answer struct {
	ready chan struct{} // closed when it has said so

	mu   sync.Mutex
	text []byte
	said bool
}

// maxAnswer bounds what is kept of it.
const maxAnswer = 64 << 10

func (a *answer) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.text = append(a.text, p...)
	if len(a.text) > maxAnswer {
		a.text = a.text[len(a.text)-maxAnswer:]
	}
	if !a.said && bytes.Contains(a.text, []byte(moveReady)) {
		a.said = true
		close(a.ready)
	}
	return len(p), nil
}

func (a *answer) isReady() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.said
}

// moved is how many moves were done.
func (a *answer) moved() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, after, _ := strings.Cut(string(a.text), movedCount)
	line, _, _ := strings.Cut(after, "\n")
	n, _ := strconv.Atoi(line)
	return n
}
