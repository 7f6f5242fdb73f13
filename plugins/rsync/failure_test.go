package rsync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// realRsync is what PATH leads to.
var realRsync, _ = exec.LookPath("rsync")

// wrap makes the transport run script instead of rsync. In it "$rsync" is the real one.
func (f *fixture) wrap(script string) {
	f.t.Helper()
	program := filepath.Join(f.t.TempDir(), "rsync")
	// A process that is forked while it is open for writing would keep it from being run.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f.must(os.WriteFile(program, []byte("#!/bin/sh\nrsync="+realRsync+"\n"+script), 0o755))
	f.tr.program = program
}

// unwrap makes it run rsync again.
func (f *fixture) unwrap() { f.tr.program = "rsync" }

// unprivileged makes rsync run as a user who may not read or write everything.
func (f *fixture) unprivileged() {
	f.t.Helper()
	f.wrap(`exec setpriv --reuid=65534 --regid=65534 --clear-groups "$rsync" "$@"`)
}

// open lets other users reach the fixture's directories, and lets them own the destination.
func (f *fixture) open() {
	f.t.Helper()
	f.must(os.Chmod(filepath.Dir(f.src), 0o755))
	f.must(os.Chmod(filepath.Dir(filepath.Dir(f.src)), 0o755))
	f.must(filepath.WalkDir(f.dst, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, 65534, 65534)
	}))
}

// failedPaths returns the paths of a result and the texts by path.
func failedPaths(res sdk.Result) ([]string, map[string]string) {
	var list []string
	texts := map[string]string{}
	for _, e := range res.Failed {
		list = append(list, e.Path)
		texts[e.Path] = e.Text
	}
	return list, texts
}

// What cannot be read is named; all else arrives and is confirmed.
func TestUnreadableSourceFile(t *testing.T) {
	t.Parallel()
	secret := "sec\nret \"x\" \\#012"
	for _, changes := range [][]sdk.Change{paths("a", secret, "d/b", "gone"), subtrees("")} {
		f := local(t)
		f.req.Config.(*config).Args = []string{"--no-owner", "--no-group"}
		f.write(f.src, "a", secret, "d/b")
		f.write(f.dst, "gone/x")
		f.must(os.Chmod(filepath.Join(f.src, secret), 0))
		f.open()
		f.unprivileged()
		res, err := f.try(changes...)
		list, texts := failedPaths(res)
		if err != nil || !slices.Contains(list, secret) || texts[secret] != "permission denied reading it at the source" {
			t.Fatalf("%v: %s", changes, describe(res, err))
		}
		if changes[0].Scope == sdk.ScopePath && len(list) != 1 {
			t.Errorf("others are not confirmed: %q", list)
		}
		if !f.exists("a") || !f.exists("d/b") || f.exists(secret) {
			t.Error("the others did not arrive")
		}
		// It heals.
		f.must(os.Chmod(filepath.Join(f.src, secret), 0o644))
		f.sync(changes...)
		f.must(os.Chown(f.dst, 0, 0))
		if f.exists("gone") || !f.exists(secret) {
			t.Error("not healed")
		}
	}
}

// A directory that cannot be read is unknown, not empty.
func TestUnreadableSourceDirectory(t *testing.T) {
	t.Parallel()
	for _, changes := range [][]sdk.Change{subtrees(""), subtrees("priv", "z"), subtrees("a", "priv", "z")} {
		f := local(t)
		f.req.Config.(*config).Args = []string{"--no-owner", "--no-group"}
		f.write(f.src, "priv/x", "a/x", "z/x")
		f.write(f.dst, "priv/keep", "z/extra", "a/extra")
		f.must(os.Chmod(filepath.Join(f.src, "priv"), 0o700))
		f.open()
		f.unprivileged()
		res, err := f.try(changes...)
		list, _ := failedPaths(res)
		if err != nil || !slices.Contains(list, "priv") {
			t.Errorf("%v: %s", changes, describe(res, err))
		}
		if !f.exists("priv/keep") {
			t.Error("deleted below a directory that could not be read")
		}
		// rsync stops deleting then; what it left is not confirmed.
		for _, c := range changes {
			if c.Path == "z" && f.exists("z/extra") && !slices.Contains(list, "z") {
				t.Errorf("confirmed while a deletion is missing: %s", describe(res, err))
			}
		}
	}
}

func TestUnwritableDestination(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.config().Args = []string{"--no-owner", "--no-group", "--omit-dir-times"}
	f.write(f.src, "a", "d/b", "d/e/c")
	f.write(f.dst, "d/gone/x", "d/e/")
	f.open()
	f.must(os.Chown(filepath.Join(f.dst, "d"), 0, 0))
	f.unprivileged()
	res, err := f.try(paths("a", "d/b", "d/gone", "d/e/c")...)
	list, texts := failedPaths(res)
	if err != nil || !cmp.Equal(list, []string{"d/b", "d/gone"}) {
		t.Fatal(describe(res, err))
	}
	for p, text := range texts {
		if !strings.HasPrefix(text, "permission denied at the destination") {
			t.Errorf("%s: %s", p, text)
		}
	}
	if !f.exists("a") || !f.exists("d/e/c") {
		t.Error("the others did not arrive")
	}
}

func TestReadOnlyDestination(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "a", "d/b")
	f.write(f.dst, "gone", "d/")
	f.wrap(`exec unshare --mount sh -c 'mount --bind -o ro "$1" "$1" && shift && exec "$@"' sh '` + f.dst + `' "$rsync" "$@"`)
	res, err := f.try(paths("a", "d/b", "gone")...)
	list, texts := failedPaths(res)
	if err != nil || !slices.Contains(list, "a") || !slices.Contains(list, "d/b") || !slices.Contains(list, "gone") {
		t.Fatal(describe(res, err))
	}
	if texts["a"] != "the file system is read-only at the destination" {
		t.Errorf("%q", texts)
	}
}

func TestFullDestination(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.must(os.WriteFile(filepath.Join(f.src, "big"), make([]byte, 1<<20), 0o644))
	f.wrap(`exec unshare --mount sh -c 'mount -t tmpfs -o size=64k tmpfs "$1" && shift && exec "$@"' sh '` + f.dst + `' "$rsync" "$@"`)
	res, err := f.try(paths("big")...)
	if err == nil || !strings.HasPrefix(err.Error(), "no space left at the destination "+f.dst) {
		t.Error(describe(res, err))
	}
	if sdk.IsMisconfigured(err) || sdk.IsUnavailable(err) {
		t.Errorf("class of %v", err)
	}
}

func TestLocalFailures(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*testing.T, *fixture)
		class   func(error) bool
		want    string
	}{
		{"destination two levels down", func(t *testing.T, f *fixture) {
			f.req.Destination.Path = f.dst + "/no/such"
		}, sdk.IsMisconfigured, "check the path, or create it with: mkdir -p "},
		{"destination is a file", func(t *testing.T, f *fixture) {
			f.must(os.Remove(f.dst))
			f.must(os.WriteFile(f.dst, nil, 0o644))
		}, sdk.IsMisconfigured, "exists and is not a directory"},
		{"no rsync", func(t *testing.T, f *fixture) {
			t.Setenv("PATH", t.TempDir())
		}, sdk.IsMisconfigured, "rsync is not installed on this machine: install it"},
		{"bad option", func(t *testing.T, f *fixture) {
			f.config().Args = []string{"--no-such-option"}
		}, sdk.IsMisconfigured, "--no-such-option: unknown option"},
		{"scheme", func(t *testing.T, f *fixture) {
			f.req.Destination = sdk.Endpoint{Scheme: "s3", Host: "h", Path: "/p"}
		}, sdk.IsMisconfigured, "but not s3://"},
		{"killed", func(t *testing.T, f *fixture) {
			f.wrap(`kill -9 $$`)
		}, func(err error) bool { return !sdk.IsMisconfigured(err) }, "rsync was killed (ended by signal: killed)"},
		{"daemon", func(t *testing.T, f *fixture) {
			f.req.Destination = sdk.Endpoint{Scheme: "rsync", Host: "127.0.0.1", Port: 1, Path: "m/x"}
		}, sdk.IsUnavailable, "Connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, changes := range [][]sdk.Change{paths("a", "b"), subtrees("")} {
				f := local(t)
				f.write(f.src, "a", "b")
				tt.prepare(t, f)
				res, err := f.try(changes...)
				if err == nil || !tt.class(err) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v: %s", changes, describe(res, err))
				}
			}
		})
	}
}

// slow makes a transfer that takes long enough to be interrupted, and returns the change for it.
func (f *fixture) slow() sdk.Change {
	f.t.Helper()
	f.must(os.WriteFile(filepath.Join(f.src, "big"), make([]byte, 8<<20), 0o644))
	f.config().BWLimit = "1M"
	return sdk.Change{Path: "big"}
}

// transferring waits until a temporary file of a transfer is at the destination, and returns the
// processes of it.
func (f *fixture) transferring(part string) []int {
	f.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		temps, err := filepath.Glob(filepath.Join(f.dst, ".big.*"))
		f.must(err)
		below, err := filepath.Glob(filepath.Join(f.dst, "*/.big.*"))
		f.must(err)
		temps = append(temps, below...)
		if pids := proc.WithArg(part); len(temps) > 0 && len(pids) > 0 {
			return pids
		}
		if time.Now().After(deadline) {
			f.t.Fatal("no transfer within 20 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestRsyncIsKilled(t *testing.T) {
	t.Parallel()
	f := local(t)
	big := f.slow()
	result := make(chan error, 1)
	go func() {
		_, err := f.try(big)
		result <- err
	}()
	pids := f.transferring(f.dst + "/")
	f.must(proc.Kill(slices.Min(pids), syscall.SIGKILL))
	if err := <-result; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v", err)
	}
	proc.WaitGone(t, pids, 5*time.Second)
	f.config().BWLimit = ""
	f.sync(big)
	f.sync(subtrees("")...) // takes away what a killed rsync may have left
	f.equal(tree.Options{})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	f := local(t)
	big := f.slow()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		req := f.req
		req.Changes = []sdk.Change{big}
		_, err := f.tr.Sync(ctx, req, func(sdk.Progress) {})
		result <- err
	}()
	pids := f.transferring(f.dst + "/")
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	proc.WaitGone(t, pids, 5*time.Second)
	entries, err := os.ReadDir(f.dst)
	if err != nil || len(entries) > 0 {
		t.Errorf("left at the destination: %v, %v", entries, err)
	}
}

// Files that vanish between the list and the transfer are looked at again.
func TestVanished(t *testing.T) {
	t.Parallel()
	for _, changes := range [][]sdk.Change{paths("a", "gone", "link/x"), subtrees("")} {
		f := local(t)
		f.write(f.src, "a", "gone", "link/x")
		f.write(f.dst, "gone", "link/x", "link/y")
		f.force(allCaps)
		// Before the first run, after the look at the source.
		marker := filepath.Join(t.TempDir(), "ran")
		f.wrap(`if [ ! -e ` + marker + ` ]; then touch ` + marker + `; rm -r '` + f.src + `/gone' '` + f.src + `/link'; ln -s a '` + f.src + `/link'; fi; exec "$rsync" "$@"`)
		f.sync(changes...)
		f.equal(tree.Options{})
	}
}

// What is moved away once it has been looked at stays at the destination, where later calls come: they are told where
// it is now.
func TestMovedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, files := range []int{1, maxUnfolded + 1} {
		for _, later := range []bool{false, true} {
			f := local(t)
			f.config().Standby = 0
			f.req.MayDefer = later
			for i := range files {
				f.write(f.src, fmt.Sprint("dir/", i))
			}
			f.write(f.dst, "gone")
			marker := filepath.Join(t.TempDir(), "ran")
			f.sync(subtrees("dir")...)
			f.wrap(`if [ ! -e ` + marker + ` ]; then touch ` + marker + `; mv '` + f.src + `/dir' '` + f.src + `/moved'; fi; exec "$rsync" "$@"`)
			res := f.sync(append(subtrees("dir"), paths("gone")...)...)
			if there := f.exists("dir"); there != later || f.exists("gone") {
				t.Errorf("%d files, later calls %t: there %t, %+v", files, later, there, res)
			}
			f.unwrap()
			f.sync(append(paths("dir"), subtrees("moved")...)...)
			f.equal(tree.Options{})
		}
	}
}

// What is back by the time that it was to be removed is left alone: it may have been moved, and is told of.
func TestBackMeanwhile(t *testing.T) {
	t.Parallel()
	for _, later := range []bool{false, true} {
		f := local(t)
		f.config().Standby = 0
		f.req.MayDefer = later
		f.write(f.src, "a")
		f.force(allCaps)
		f.wrap(`mkdir -p '` + f.src + `/dir'; exec "$rsync" "$@"`)
		f.sync(paths("a", "dir")...)
		if there := f.exists("dir"); there == later {
			t.Errorf("later calls %t: sent %t", later, there)
		}
	}
}

// What is moved away while it is sent stays, too.
func TestMovedWhileSent(t *testing.T) {
	t.Parallel()
	for _, later := range []bool{false, true} {
		f := local(t)
		f.config().BWLimit = "1M"
		f.req.MayDefer = later
		f.must(os.Mkdir(filepath.Join(f.src, "dir"), 0o755))
		f.must(os.WriteFile(filepath.Join(f.src, "dir/big"), make([]byte, 2<<20), 0o644))
		f.write(f.src, "dir/z")
		f.write(f.dst, "dir/z")
		f.must(os.WriteFile(filepath.Join(f.dst, "dir/z"), []byte("former"), 0o644))
		var wg sync.WaitGroup
		wg.Go(func() {
			f.transferring(f.dst + "/")
			f.must(os.Rename(filepath.Join(f.src, "dir"), filepath.Join(f.src, "moved")))
		})
		f.sync(subtrees("dir")...)
		wg.Wait()
		if there := f.exists("dir/z"); there != later {
			t.Errorf("later calls %t: there %t", later, there)
		}
		f.sync(append(paths("dir"), subtrees("moved")...)...)
		f.equal(tree.Options{})
	}
}

// A directory that is away for a moment takes with it what was to be settled in it.
func TestVanishedParent(t *testing.T) {
	t.Parallel()
	for _, mode := range modes[:2] {
		f := local(t)
		f.write(f.src, "d/a")
		f.write(f.dst, "d/gone/x")
		f.force(mode.caps)
		marker := filepath.Join(t.TempDir(), "ran")
		f.wrap(`if [ -e ` + marker + ` ]; then exec "$rsync" "$@"; fi; touch ` + marker + `; mv '` + f.src + `/d' '` + f.src + `/away'; "$rsync" "$@"; code=$?; mv '` + f.src + `/away' '` + f.src + `/d'; exit $code`)
		res, err := f.try(paths("d/gone")...)
		if err != nil || f.exists("d/gone") && len(res.Failed) == 0 {
			t.Errorf("%s: confirmed and not removed: %s", mode.name, describe(res, err))
		}
	}
}

// A directory that goes while what was in it is being removed keeps nobody waiting.
func TestVanishedForGood(t *testing.T) {
	t.Parallel()
	for _, limit := range []uint64{0, 1, 10} {
		f := local(t)
		f.write(f.src, "d/stays")
		f.write(f.dst, "d/a", "d/b", "d/stays")
		f.force(allCaps)
		marker := filepath.Join(t.TempDir(), "ran")
		f.wrap(`if [ ! -e ` + marker + ` ]; then touch ` + marker + `; rm -r '` + f.src + `/d'; fi; exec "$rsync" "$@"`)
		f.req.MaxDelete = limit
		if res, err := f.try(paths("d/a", "d/b")...); err != nil || len(res.Failed) > 0 {
			t.Errorf("limit %d: %s", limit, describe(res, err))
		}
	}
}

// A file that vanishes while others are sent (exit status 24) costs no second comparison.
func TestVanishedDuringTransfer(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.slow()
	f.must(os.WriteFile(filepath.Join(f.src, "big"), make([]byte, 2<<20), 0o644))
	f.write(f.src, "z", "ok")
	// Of another size, for the times of the two may be the same.
	f.must(os.WriteFile(filepath.Join(f.dst, "z"), []byte("former"), 0o644))
	runs := filepath.Join(t.TempDir(), "runs")
	f.config().Standby = 0
	f.force(allCaps)
	f.wrap(`echo "$@" >>` + runs + `; exec "$rsync" "$@"`)
	go func() {
		f.transferring(f.dst + "/")
		f.must(os.Remove(filepath.Join(f.src, "z")))
	}()
	f.sync(subtrees("")...)
	f.equal(tree.Options{})
	log, err := os.ReadFile(runs)
	f.must(err)
	if n := strings.Count(string(log), "\n"); n != 2 || strings.Contains(string(log), "--dry-run") {
		t.Errorf("%d runs:\n%s", n, log)
	}
}

// rsync leaves a directory that is not empty, and exits with 0: it is not confirmed.
func TestKeptDirectory(t *testing.T) {
	t.Parallel()
	for _, changes := range [][]sdk.Change{paths("ok", "gone/x", "gone/y"), subtrees("")} {
		f := local(t)
		f.write(f.src, "ok")
		f.force(allCaps)
		f.wrap(`"$rsync" "$@"; echo "cannot delete non-empty directory: gone"`)
		res, err := f.try(changes...)
		list, _ := failedPaths(res)
		want := []string{"gone"}
		if changes[0].Scope == sdk.ScopePath {
			want = []string{"gone/x", "gone/y"}
		}
		if err != nil || !cmp.Equal(list, want) {
			t.Error(describe(res, err))
		}
	}
}

// A partial failure that says nothing about paths confirms nothing.
func TestUnattributedFailure(t *testing.T) {
	t.Parallel()
	for _, script := range []string{
		`exit 23`,
		`echo something else >&2; exit 23`,
		`echo 'rsync: [sender] read errors mapping "/elsewhere/x": Input/output error (5)' >&2; exit 23`,
		`for a; do if [ "$a" = --dry-run ]; then exit 12; fi; done; exit 23`,
		`exit 99`,
	} {
		f := local(t)
		f.write(f.src, "a")
		f.force(allCaps)
		f.wrap(script)
		for _, changes := range [][]sdk.Change{paths("a", "b"), subtrees(""), subtrees("a")} {
			if res, err := f.try(changes...); err == nil {
				t.Errorf("%s: %s", script, describe(res, err))
			}
			f.force(allCaps)
		}
	}
}
