package rsync

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// eventually polls until ok, and fails after ten seconds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// onStandby returns the standby of a fixture; nil = none.
func (f *fixture) onStandby() *standby {
	f.tr.mu.Lock()
	defer f.tr.mu.Unlock()
	return f.tr.standbys[peer{sync: f.req.Sync, destination: f.req.Destination}]
}

// prime makes a first transfer, after which a standby waits, connected and ready.
func (f *fixture) prime() *standby {
	f.t.Helper()
	f.write(f.src, "prime")
	f.sync(paths("prime")...)
	b := f.onStandby()
	if b == nil {
		f.t.Fatal("no standby")
	}
	f.waiting()
	return b
}

// waiting waits until a standby waits at both ends, and returns its processes.
func (f *fixture) waiting() []int {
	f.t.Helper()
	var pids []int
	eventually(f.t, "an rsync on standby", func() bool {
		pids = f.atDestination()
		return len(pids) > 0 && (f.req.Destination.Scheme != sdk.SchemeSSH || slices.ContainsFunc(pids, isServer))
	})
	return pids
}

// atDestination returns the processes of rsync to the destination.
func (f *fixture) atDestination() []int {
	part := f.dst
	if f.req.Destination.Scheme == schemeDaemon {
		part = target(f.req.Destination)
	}
	return slices.DeleteFunc(proc.WithArg(part), func(pid int) bool {
		program, _, _ := strings.Cut(proc.Cmdline(pid), " ")
		return filepath.Base(program) != "rsync"
	})
}

// isServer reports whether a process is the far end of an rsync.
func isServer(pid int) bool { return strings.Contains(proc.Cmdline(pid), " --server ") }

// destinations are the ways to a destination.
var destinations = []struct {
	name string
	make func(*testing.T) *fixture
}{
	{"local", func(t *testing.T) *fixture { return local(t) }},
	{"ssh", func(t *testing.T) *fixture { f, _ := remote(t, sshd.Config{}); return f }},
	{"daemon", func(t *testing.T) *fixture { return daemon(t, "motd file = /etc/passwd") }},
}

// A change goes to the rsync that waits, and another one waits then.
func TestStandby(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f := d.make(t)
			f.prime()
			for i := range 5 {
				b := f.onStandby()
				f.write(f.src, fmt.Sprintf("d/%d", i))
				if i > 1 {
					f.must(os.Remove(filepath.Join(f.src, fmt.Sprintf("d/%d", i-2))))
				}
				if i < 2 {
					f.sync(paths("d", fmt.Sprintf("d/%d", i))...)
				} else {
					f.sync(paths(fmt.Sprintf("d/%d", i))...)
					f.sync(paths(fmt.Sprintf("d/%d", i-2))...)
				}
				select {
				case <-b.process.Done():
					if exit := b.process.Wait(); !exit.OK() {
						t.Errorf("the standby ended with %v: %s", exit, exit.Stderr)
					}
				default:
					t.Error("the standby was not used")
				}
				if f.onStandby() == nil {
					t.Error("no next one")
				}
			}
			f.equal(tree.Options{})
		})
	}
}

// Whatever the source and what is in it are called.
func TestStandbyHostileNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"#c", ";x", "-d", " sp ace ", "new\nline", "\xff\xfe", "*?[a]", "back\\slash\\#012", "quo'te\"$HOME", "%h", "...",
		strings.Repeat("x", 255), "a/../b",
	} {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			t.Parallel()
			f := local(t)
			f.must(os.MkdirAll(filepath.Join(f.src, "a"), 0o755))
			f.must(os.MkdirAll(filepath.Join(f.src, name), 0o755))
			f.src += "/" + name
			f.req.Source = f.src
			f.write(f.src, "prime")
			f.sync(paths("prime")...)
			b := f.onStandby()
			if (b == nil) != (name == "a/../b") {
				t.Errorf("standby: %v", b)
			}
			var all []string
			for _, name := range tree.HostileNames() {
				f.write(f.src, name+"/"+name)
				all = append(all, name, name+"/"+name)
			}
			f.sync(paths(all...)...)
			f.equal(tree.Options{})
			if b != nil && !b.process.Wait().OK() {
				t.Errorf("the standby ended with %v", b.process.Wait())
			}
			for _, name := range tree.HostileNames() {
				f.must(os.RemoveAll(filepath.Join(f.src, name)))
			}
			f.sync(paths(all...)...)
			f.equal(tree.Options{})
		})
	}
}

// What waits holds neither the source nor the destination: they can be unmounted, replaced and removed, and
// what is sent then is what is there then.
func TestStandbyHoldsNothing(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f := d.make(t)
			b := f.prime()
			for _, pid := range append(f.waiting(), b.process.PID()) {
				links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
				f.must(err)
				for _, link := range append(links, fmt.Sprintf("/proc/%d/cwd", pid)) {
					to, _ := os.Readlink(link)
					if strings.HasPrefix(to, f.src) || strings.HasPrefix(to, f.dst) {
						t.Errorf("%s is %s", link, to)
					}
				}
			}
			f.must(os.Rename(f.src, f.src+".old"))
			f.write(f.src, "new", "prime")
			f.must(os.Rename(f.dst, f.dst+".old"))
			f.must(os.Mkdir(f.dst, 0o755))
			f.sync(paths("new", "prime")...)
			f.equal(tree.Options{})
			f.must(os.RemoveAll(f.dst))
			f.sync(paths("new", "prime")...)
			f.equal(tree.Options{})
			f.must(os.RemoveAll(f.src))
			if res, err := f.try(paths("new")...); !sdk.IsRootLost(err) {
				t.Error(describe(res, err))
			}
			if !f.exists("new") {
				t.Error("deleted when the source was lost")
			}
		})
	}
}

// A standby whose process, far end or connection has died costs nothing but time.
func TestStandbyDies(t *testing.T) {
	t.Parallel()
	kill := func(t *testing.T, pids ...int) {
		if len(pids) == 0 {
			t.Fatal("nothing to kill")
		}
		for _, pid := range pids {
			if err := proc.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		proc.WaitGone(t, pids, 5*time.Second)
	}
	for _, tt := range []struct {
		name string
		die  func(*testing.T, *fixture, *sshd.Server, *standby)
	}{
		{"rsync", func(t *testing.T, _ *fixture, _ *sshd.Server, b *standby) { kill(t, b.process.PID()) }},
		{"far end", func(t *testing.T, f *fixture, _ *sshd.Server, _ *standby) {
			kill(t, slices.DeleteFunc(f.waiting(), func(pid int) bool { return !isServer(pid) })...)
		}},
		{"shared connection", func(t *testing.T, f *fixture, _ *sshd.Server, _ *standby) { kill(t, f.masters()...) }},
		{"sessions", func(_ *testing.T, _ *fixture, s *sshd.Server, _ *standby) { s.KillSessions() }},
		{"ssh", func(t *testing.T, _ *fixture, _ *sshd.Server, b *standby) { kill(t, proc.Children(b.process.PID())...) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, noticed := range []bool{false, true} {
				f, server := remote(t, sshd.Config{})
				b := f.prime()
				tt.die(t, f, server, b)
				f.write(f.src, "a")
				if noticed {
					eventually(t, "to be noticed", func() bool { return !b.alive() })
				}
				f.sync(paths("a")...)
				f.equal(tree.Options{})
			}
		})
	}
}

func TestStandbyDiesLocally(t *testing.T) {
	t.Parallel()
	f := local(t)
	b := f.prime()
	eventually(t, "its far end", func() bool { return len(proc.Children(b.process.PID())) > 0 })
	for _, pid := range proc.Children(b.process.PID()) {
		f.must(proc.Kill(pid, syscall.SIGKILL))
	}
	eventually(t, "to be noticed", func() bool { return !b.alive() })
	f.write(f.src, "a")
	f.sync(paths("a")...)
	f.equal(tree.Options{})
}

// Nobody notices when the connection to a daemon is cut: the run does, and is repeated.
func TestStandbyIsCutFromDaemon(t *testing.T) {
	t.Parallel()
	f := daemon(t, "")
	through := proxy(t, fmt.Sprintf("127.0.0.1:%d", f.req.Destination.Port))
	f.req.Destination.Port = through.port
	f.prime()
	through.cut()
	f.write(f.src, "a")
	f.sync(paths("a")...)
	f.equal(tree.Options{})
}

// proxied is a proxy for TCP connections.
type proxied struct {
	port int
	cut  func() // closes all connections
}

func proxy(t *testing.T, to string) proxied {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	conns := make(chan net.Conn, 100)
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			conns <- a
			conns <- b
			pipe := func(to, from net.Conn) {
				_, _ = to.(*net.TCPConn).ReadFrom(from)
				to.Close()
			}
			go pipe(a, b)
			go pipe(b, a)
		}
	}()
	return proxied{l.Addr().(*net.TCPAddr).Port, func() {
		for {
			select {
			case c := <-conns:
				c.Close()
			default:
				return
			}
		}
	}}
}

// A run on standby is judged as any other.
func TestStandbyFailures(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.config().Args = []string{"--no-owner", "--no-group"}
	f.write(f.src, "secret", "sub/")
	f.open()
	f.unprivileged()
	f.prime()
	f.must(os.Chmod(filepath.Join(f.src, "secret"), 0))
	f.write(f.src, "a")
	res, err := f.try(paths("a", "secret")...)
	if list, texts := failedPaths(res); err != nil || !cmp.Equal(list, []string{"secret"}) || texts["secret"] != "permission denied reading it at the source" {
		t.Error(describe(res, err))
	}
	f.prime()
	f.must(os.Chmod(filepath.Join(f.src, "secret"), 0o644))
	f.write(f.dst, "gone/1", "gone/2", "secret/was a directory")
	f.open()
	f.req.MaxDelete = 1
	if res, err = f.try(paths("secret", "gone")...); err != nil || !f.exists("gone/1") || res.Withheld.Count < 3 {
		t.Errorf("%s, %+v", describe(res, err), res)
	}
	f.req.MaxDelete = 10
	f.sync(paths("secret", "gone")...)
	f.must(os.Chown(f.dst, 0, 0))
	if f.exists("gone") || readFile(filepath.Join(f.dst, "secret")) != "content of secret" {
		t.Error("not done")
	}
}

// A standby is for one configuration; others have their own.
func TestStandbyConfiguration(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f *fixture){
		"exclude": func(f *fixture) { f.req.Exclude = []string{"*.tmp"} },
		"delete":  func(f *fixture) { f.req.Delete = false },
		"options": func(f *fixture) { f.config().Checksum = true },
	} {
		f := local(t)
		b := f.prime()
		change(f)
		f.write(f.src, "a", "a.tmp")
		f.write(f.dst, "gone")
		f.sync(paths("a", "a.tmp", "gone")...)
		if f.exists("gone") != (name == "delete") || f.exists("a.tmp") == (name == "exclude") {
			t.Errorf("%s: gone exists: %v, a.tmp exists: %v", name, f.exists("gone"), f.exists("a.tmp"))
		}
		proc.WaitGone(t, []int{b.process.PID()}, 5*time.Second)
		if now := f.onStandby(); now == nil || now == b {
			t.Errorf("%s: standby %v, then %v", name, b, now)
		}
	}
}

// It goes after a time of quiet, and waits through rsync's timeout until then.
func TestStandbyTimes(t *testing.T) {
	t.Parallel()
	f, _ := remote(t, sshd.Config{})
	f.config().Timeout = minStandbyTimeout
	b := f.prime()
	for started := time.Now(); time.Since(started) < 3*minStandbyTimeout; time.Sleep(50 * time.Millisecond) {
		if !b.alive() {
			t.Fatal("ended while it waited")
		}
	}
	f.write(f.src, "a")
	f.sync(paths("a")...)
	if exit := b.process.Wait(); !exit.OK() {
		t.Errorf("ended with %v: %s", exit, exit.Stderr)
	}
	f.equal(tree.Options{})

	f.config().Standby = 50 * time.Millisecond
	f.sync(paths("a", "gone")...)
	eventually(t, "its end", func() bool { return f.onStandby() == nil && len(proc.WithArg(f.dst+"/")) == 0 })
	f.config().Standby = 0
	f.sync(paths("a", "gone")...)
	if f.onStandby() != nil {
		t.Error("a standby although it is off")
	}
}

// Close ends it, here and at the far end.
func TestStandbyClose(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		f := d.make(t)
		b := f.prime()
		pids := append(f.waiting(), b.process.PID())
		f.must(f.tr.Close())
		proc.WaitGone(t, pids, 5*time.Second)
		if len(f.tr.standbys) > 0 {
			t.Errorf("%s: left", d.name)
		}
	}
}

// One that is dropped does nothing.
func TestStandbyDropped(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			f := d.make(t)
			b := f.prime()
			f.write(f.src, "a")
			f.must(os.RemoveAll(f.dst))
			f.tr.dropStandby(peer{sync: f.req.Sync, destination: f.req.Destination})
			b.process.Wait()
			proc.WaitGone(t, f.atDestination(), 5*time.Second)
			if f.exists("") {
				t.Error("made the destination")
			}
		})
	}
}

// A server that allows few sessions on a connection gets connections.
func TestStandbySessions(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		f, _ := remote(t, sshd.Config{Lines: []string{fmt.Sprintf("MaxSessions %d", n+1)}})
		for i := range 3 {
			f.prime()
			f.write(f.src, fmt.Sprint(i, "/x"))
			f.sync(append(paths("gone", fmt.Sprint(i)), subtrees(fmt.Sprint(i))...)...)
		}
		f.equal(tree.Options{})
	}
}

// A list that cannot begin with the way to the source is sent as before.
func TestStandbyLongPaths(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(strings.Repeat("x", 200)+"/", 20)
	for len(long) < maxEntry {
		long += "x"
	}
	if _, ok := listFrom("srv", []string{"./" + long[:maxEntry-8]}); !ok {
		t.Error("not too long")
	}
	if _, ok := listFrom("srv", []string{"./a", "./" + long[:maxEntry-7]}); ok {
		t.Error("too long")
	}
	f := local(t)
	var deep []string
	for range 4 {
		deep = append(deep, strings.Repeat("y", 250))
	}
	// The root is far down, and the path behind it as long as a path below it may be.
	f.src = filepath.Join(append([]string{f.src}, deep...)...)
	f.req.Source = f.src
	f.must(os.MkdirAll(f.src, 0o755))
	f.prime()
	p := filepath.Join(append(deep, strings.Repeat("z", 200))...)
	f.write(f.src, p)
	f.sync(paths(p)...)
	f.equal(tree.Options{})
}

// BenchmarkStandby measures how long after the request a change is at the far end, over ssh.
func BenchmarkStandby(b *testing.B) {
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprint(on), func(b *testing.B) {
			f, _ := remote(b, sshd.Config{})
			if !on {
				f.config().Standby = 0
			}
			var visible []time.Duration
			n := 0
			for b.Loop() {
				n++
				time.Sleep(200 * time.Millisecond) // until the next standby is ready
				text := fmt.Sprint("text ", n)
				if err := os.WriteFile(filepath.Join(f.src, "f"), []byte(text), 0o644); err != nil {
					b.Fatal(err)
				}
				done := make(chan error, 1)
				started := time.Now()
				go func() {
					_, err := f.try(paths("f")...)
					done <- err
				}()
				for readFile(filepath.Join(f.dst, "f")) != text {
					time.Sleep(50 * time.Microsecond)
				}
				visible = append(visible, time.Since(started))
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			slices.Sort(visible)
			for _, p := range []int{10, 50, 95} {
				b.ReportMetric(float64(visible[len(visible)*p/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", p))
			}
		})
	}
}
