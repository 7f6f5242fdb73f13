package rsync

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/wire"
)

// requestEnv makes the test binary a plugin process that does one request.
const requestEnv = "RSYNC_TEST_REQUEST"

func TestMain(m *testing.M) {
	if request := os.Getenv(requestEnv); request != "" {
		req := sdk.SyncRequest{Config: &config{}}
		if err := json.Unmarshal([]byte(request), &req); err != nil {
			panic(err)
		}
		if _, err := newTransport().Sync(context.Background(), req, nil); err != nil {
			panic(err)
		}
		select {} // with what is on standby
	}
	// Most tests wait for processes most of the time.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// A plugin that is killed leaves neither rsync nor ssh behind, here and at the far end.
func TestKilledPluginLeavesNothing(t *testing.T) {
	t.Parallel()
	f, server := remote(t, sshd.Config{})
	f.req.Changes = []sdk.Change{f.slow()}
	request, err := json.Marshal(f.req)
	f.must(err)
	exe, err := os.Executable()
	f.must(err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), requestEnv+"="+string(request), wire.EnvRunDir+"="+t.TempDir())
	f.must(cmd.Start())
	pids := append(f.transferring(f.dst+"/"), f.transferring(f.config().SSH.ConfigFile)...)
	pids = append(pids, server.Sessions()...)
	f.must(cmd.Process.Signal(syscall.SIGKILL))
	_ = cmd.Wait()
	// The promise is two seconds; a busy machine gets more.
	proc.WaitGone(t, pids, 10*time.Second)
	if left := proc.WithArg(f.dst + "/"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Nor what waits on standby.
func TestKilledPluginLeavesNoStandby(t *testing.T) {
	t.Parallel()
	f, server := remote(t, sshd.Config{})
	f.write(f.src, "a")
	f.req.Changes = paths("a")
	request, err := json.Marshal(f.req)
	f.must(err)
	exe, err := os.Executable()
	f.must(err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), requestEnv+"="+string(request), wire.EnvRunDir+"="+t.TempDir())
	f.must(cmd.Start())
	pids := f.waiting()
	pids = append(pids, server.Sessions()...)
	f.must(cmd.Process.Signal(syscall.SIGKILL))
	_ = cmd.Wait()
	proc.WaitGone(t, pids, 10*time.Second)
	// Not only those: some may have been being started.
	eventually(t, "nothing is left", func() bool { return len(proc.WithArg(f.dst+"/")) == 0 })
}

// A connection over which nothing comes any more ends with the timeout, and is replaced.
func TestFrozenConnection(t *testing.T) {
	t.Parallel()
	f, server := remote(t, sshd.Config{})
	f.config().Timeout = 2 * time.Second
	f.write(f.src, "a")
	f.sync(paths("a")...)
	frozen := server.Sessions()
	for _, pid := range frozen {
		f.must(proc.Kill(pid, syscall.SIGSTOP))
	}
	defer func() {
		for _, pid := range frozen {
			_ = proc.Kill(pid, syscall.SIGCONT)
		}
	}()
	f.write(f.src, "b")
	res, err := f.try(paths("b")...)
	if !sdk.IsUnavailable(err) {
		t.Fatal(describe(res, err))
	}
	f.sync(paths("b")...)
}

// A shared connection whose process here is frozen is ended, and what waits for it tried again, long before
// rsync's own timeout.
func TestFrozenMaster(t *testing.T) {
	t.Parallel()
	f, _ := remote(t, sshd.Config{})
	f.tr.maxSilence = time.Second
	f.write(f.src, "a")
	f.sync(paths("a")...)
	f.tr.mu.Lock()
	for _, c := range f.tr.conns {
		f.must(proc.Kill(c.master.PID(), syscall.SIGSTOP))
	}
	f.tr.mu.Unlock()
	f.write(f.src, "b")
	begun := time.Now()
	if res, err := f.try(paths("b")...); err != nil && !sdk.IsUnavailable(err) {
		t.Fatal(describe(res, err))
	}
	if took := time.Since(begun); took > f.config().Timeout/2 {
		t.Errorf("it took %v", took)
	}
	f.sync(paths("b")...)
}
