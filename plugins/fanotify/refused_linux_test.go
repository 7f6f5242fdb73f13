package fanotify

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/isolate"
)

// refused checks that root cannot be watched and that the text says each of the things in want.
func refused(t *testing.T, tn tuning, root string, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), watchertest.Patience)
	defer cancel()
	err := tn.watch(ctx, root, nil, nil, watchertest.NewRecorder())
	if !sdk.IsMisconfigured(err) {
		t.Errorf("got %v", err)
		return
	}
	for _, s := range append(want, `watcher "inotify" {}`) {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q is not in %q", s, err)
		}
	}
}

const nobody = 65534

var capabilities = "AmbientCapabilities=CAP_SYS_ADMIN CAP_DAC_READ_SEARCH"

func TestWithoutPrivilege(t *testing.T) {
	if !isolate.Run(t, isolate.Nobody) {
		return
	}
	watchertest.LeakCheck(t)
	refused(t, production, t.TempDir(), capabilities)
}

// TestWithoutReadSearch: events arrive, but must be understood too.
func TestWithoutReadSearch(t *testing.T) {
	if !isolate.Run(t, syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}) {
		return
	}
	watchertest.LeakCheck(t)
	refused(t, production, t.TempDir(), capabilities)
}

// TestWithCapabilities: what the text asks for is enough.
func TestWithCapabilities(t *testing.T) {
	if !isolate.Run(t, syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_DAC_READ_SEARCH},
	}) {
		return
	}
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	a.Mkdir("d/e")
	w := watchertest.Start(t, quick().watch, a.Root)
	w.Alive("", "d", "d/e")
	watchertest.Must(t, w.End())
}

func TestOverlayRoot(t *testing.T) {
	if !isolate.Run(t, isolate.OwnMounts) {
		return
	}
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	a.Mkdir("o")
	overlayAt(a, "o")
	refused(t, production, a.Path("o"), a.Path("o"), "overlay")
	unmount(a, "o")
}

// TestRefusals: what other file systems say is told with what to use instead.
func TestRefusals(t *testing.T) {
	for err, want := range map[error]string{
		unix.EXDEV:      "subvolume of a btrfs file system",
		unix.ENODEV:     "type btrfs",
		unix.EOPNOTSUPP: "type btrfs",
		unix.ENOSPC:     "fs.fanotify.max_user_marks",
		unix.EPERM:      capabilities,
		unix.EIO:        "input/output error",
	} {
		got := markError("/srv", "btrfs", err)
		for _, s := range []string{want, "/srv", `watcher "inotify" {}`} {
			if !sdk.IsMisconfigured(got) || !strings.Contains(got.Error(), s) {
				t.Errorf("%v: %q is not in %q", err, s, got)
			}
		}
	}
}

func TestProcRoot(t *testing.T) { refused(t, production, "/proc/self", "proc") }

// TestSilence: a file system that reports nothing is not trusted.
func TestSilence(t *testing.T) {
	gate := watchertest.NewGate()
	gate.Close()
	tn := quick()
	tn.probe = 10 * time.Millisecond
	tn.beforeRead = gate.Pass
	time.AfterFunc(500*time.Millisecond, gate.Open) // the reader has to end, too
	refused(t, tn, t.TempDir(), "reports no events")
}

func TestGroupLimit(t *testing.T) {
	if !isolate.Run(t, syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{Size: 1}},
	}) {
		return
	}
	refused(t, production, t.TempDir(), capabilities)
	watchertest.Must(t, os.WriteFile("/proc/sys/user/max_fanotify_groups", []byte("0"), 0o644))
	refused(t, production, t.TempDir(), "max_fanotify_groups")
}

func TestUnreadableRoot(t *testing.T) {
	if !isolate.Run(t, syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}) {
		return
	}
	root := t.TempDir()
	watchertest.Must(t, os.Chmod(root, 0))
	err := watchFanotify(t.Context(), root, nil, nil, watchertest.NewRecorder())
	if !sdk.IsMisconfigured(err) || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("got %v", err)
	}
}
