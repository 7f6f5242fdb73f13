package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

func TestUnreadableFileIsNamedAndHeals(t *testing.T) {
	t.Parallel()
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

// What is in a directory that cannot be listed is unknown, not gone: while filewatch runs, and when it starts.
func TestDirectoryThatCannotBeListed(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root to run filewatch as somebody who may not list a directory")
	}
	source, destination := dirs(t)
	shell(t, filepath.Dir(source), `chmod 755 . ..; mkdir -p source/shut/sub source/open; touch source/shut/gone source/shut/sub/gone source/open/gone
		chown -R 65534:65534 source destination`)
	config := localSync("s", source, destination, "")
	d := startDaemon(t, config, asNobody(t))
	d.waitMessage(0, "s", "in sync")

	shell(t, source, "chmod 0 shut; rm -r shut/gone shut/sub; touch shut/new; chown 65534:65534 shut/new")
	for _, start := range []bool{false, true} {
		if start {
			d.stop(t, syscall.SIGTERM)
			d = startDaemon(t, config, asNobody(t))
		} else {
			d.do("resync", "s")
		}
		eventually(t, "status names the directory and why", func() bool {
			return slices.ContainsFunc(d.status("s").Failing, func(p status.Path) bool {
				return strings.Contains(p.Path+": "+p.Text, "shut: permission denied reading it at the source")
			})
		})
		shell(t, source, "rm -f open/*; echo more > open/"+itoa(d.pid())+"; chown 65534:65534 open/*")
		tree.WaitEqual(t, filepath.Join(source, "open"), filepath.Join(destination, "open"), patience, tree.Options{})
		if why := d.cannotFlush(t); !strings.Contains(why, "ermission denied") {
			t.Errorf("flush: %s", why)
		}
		// While it is tried again, status says "sending".
		eventually(t, "status says failing", func() bool { return d.status("s").State == status.Failing })
		for _, p := range []string{"shut/gone", "shut/sub/gone"} {
			if _, err := os.Lstat(filepath.Join(destination, p)); err != nil {
				t.Errorf("after the start %v: %v", start, err)
			}
		}
	}

	shell(t, source, "chmod 755 shut")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})
	d.flushed(t)
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
	own := filepath.Dir(strings.TrimPrefix(ownDirs(t)[0], "STATE_DIRECTORY="))
	if err := os.Chown(own, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	return func(cmd *exec.Cmd) {
		config := cmd.Args[2]
		for dir := filepath.Dir(config); dir != os.TempDir(); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd.Env = append(cmd.Env, "HOME="+home, "XDG_RUNTIME_DIR=")
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
	t.Parallel()
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
