package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

func TestOperatorsWalk(t *testing.T) {
	source, destination := dirs(t)
	shell(t, source, "echo before > first; mkdir -p nested/deep/deeper; echo x > nested/deep/deeper/file")
	d := startDaemon(t, sshSync("walk", source, destination, sshd.Start(t, sshd.Config{}), ""))
	at := d.waitMessage(0, "walk", "in sync")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})

	for _, step := range []string{
		"mkdir test",
		"echo a > a",
		"ln -s a a.link",
		"chmod a+w a",
		"printf b > a",
		"touch -d '2001-02-03 04:05:06.789' a",
		"mv a b; mv b a",
		"rm a",
		"rm a.link",
		"rm -rf nested",
		"chown 12:34 test",
	} {
		shell(t, source, step)
		at = d.waitMessage(at, "walk", "in sync")
		tree.WaitEqual(t, source, destination, patience, tree.Options{})
	}
	d.wait(0, "CREATE test/", func(l line) bool { return strings.Contains(l.Op, "CREATE") && l.Path == "test/" })
	d.wait(0, "sent test/", func(l line) bool { return l.Message == "sent" && l.Path == "test/" })
}

func TestOnlyTheBlockThatChangedTransfers(t *testing.T) {
	config := ""
	var sources, destinations []string
	names := []string{"one", "two", "three"}
	for _, name := range names {
		source, destination := dirs(t)
		sources, destinations = append(sources, source), append(destinations, destination)
		config += localSync(name, source, destination, "")
	}
	d := startDaemon(t, config)
	for _, name := range names {
		d.waitMessage(0, name, "in sync")
	}
	from := len(d.log())
	at := from
	for range 5 {
		shell(t, sources[1], "echo x >> file")
		at = d.waitMessage(at, "two", "in sync")
	}
	tree.WaitEqual(t, sources[1], destinations[1], patience, tree.Options{})
	for _, l := range d.log()[from:] {
		if l.Sync != "" && l.Sync != "two" {
			t.Errorf("a change in two made sync %s say %s", l.Sync, l.Text)
		}
	}
}

func TestUnreachableDestinationHoldsUpNobody(t *testing.T) {
	source, near := dirs(t)
	far := filepath.Join(filepath.Dir(near), "far")
	if err := os.Mkdir(far, 0o755); err != nil {
		t.Fatal(err)
	}
	server := sshd.Start(t, sshd.Config{})
	server.Stop()
	config := strings.Replace(sshSync("two", source, far, server, ""), `destination = "127.0.0.1:`+far+`"`,
		`destination = ["127.0.0.1:`+far+`", "`+near+`"]`, 1)
	d := startDaemon(t, config)
	shell(t, source, "mkdir a; echo x > a/b")
	tree.WaitEqual(t, source, near, patience, tree.Options{})
	d.wait(0, "that the far destination cannot be reached", func(l line) bool {
		return strings.HasPrefix(l.Message, "nothing could be sent") && strings.HasSuffix(l.Destination, far)
	})
	shell(t, source, "echo y > a/c; rm a/b")
	tree.WaitEqual(t, source, near, patience, tree.Options{})
	server.Restart()
	tree.WaitEqual(t, source, far, 2*patience, tree.Options{})
}

func TestUnreadableFileIsNamedAndHeals(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to run filewatch as somebody who may not read a file")
	}
	source, destination := dirs(t)
	shell(t, filepath.Dir(source), "chmod 755 . ..; chown -R 65534:65534 source destination; echo secret > source/secret; chmod 600 source/secret")
	d := startDaemon(t, localSync("s", source, destination, ""), asNobody(t))
	shell(t, source, "echo open > readable; chown 65534:65534 readable")
	d.wait(0, "which path cannot be read and why", func(l line) bool {
		return l.Path == "secret" && strings.Contains(l.Err, "ermission denied")
	})
	eventually(t, "the readable file arrives", func() bool {
		_, err := os.Stat(filepath.Join(destination, "readable"))
		return err == nil
	})
	shell(t, source, "chown 65534:65534 secret")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.waitMessage(0, "s", "in sync")
}

// asNobody runs the daemon as an ordinary user who may start the test's binary.
func asNobody(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	home := t.TempDir()
	if err := os.Chown(home, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("filewatch")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return func(cmd *exec.Cmd) {
		config := cmd.Args[2]
		for dir := filepath.Dir(config); dir != os.TempDir(); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR=")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
}

// inMountNamespace runs the daemon where script has mounted what the test needs, unseen by the rest of
// the machine.
func inMountNamespace(script string) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		args := append([]string{"sh", "-euc", script + `; exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
		sh, err := exec.LookPath("sh")
		if err != nil {
			cmd.Err = err
			return
		}
		cmd.Path, cmd.Args = sh, args
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
}

func TestFullAndReadOnlyDestinationHeals(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	source, destination := dirs(t)
	shell(t, source, "echo small > small")
	d := startDaemon(t, localSync("s", source, destination, ""),
		inMountNamespace("mount --make-rprivate /; mount -t tmpfs -o size=1m none "+destination))
	at := d.waitMessage(0, "s", "in sync")
	// What the daemon sees at the destination.
	mounted := filepath.Join("/proc", itoa(d.pid()), "root", destination)
	remount := func(options string) {
		t.Helper()
		cmd := exec.Command("nsenter", "-t", itoa(d.pid()), "-m", "mount", "-o", "remount,"+options, destination)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("remount: %v\n%s", err, out)
		}
	}

	shell(t, source, "head -c 3000000 /dev/urandom > big")
	at = d.wait(at, "no space left", func(l line) bool { return strings.Contains(l.Err, "o space left") })
	remount("size=20m")
	tree.WaitEqual(t, source, mounted, patience, tree.Options{})
	at = d.waitMessage(at, "s", "in sync")

	remount("ro")
	shell(t, source, "echo more > more")
	at = d.wait(at, "read-only", func(l line) bool { return strings.Contains(strings.ToLower(l.Err), "read-only") })
	remount("rw")
	tree.WaitEqual(t, source, mounted, patience, tree.Options{})
	d.waitMessage(at, "s", "in sync")
}
