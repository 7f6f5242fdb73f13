package fanotify

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk"
)

// refused checks that root cannot be watched and that the text says each of the things in want.
func refused(t *testing.T, tn tuning, root string, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := tn.watch(ctx, root, nil, nil, newRecorder())
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
	if !inside(t, syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}) {
		return
	}
	leakCheck(t)
	refused(t, production, t.TempDir(), capabilities)
}

// TestWithoutReadSearch: events arrive, but must be understood too.
func TestWithoutReadSearch(t *testing.T) {
	if !inside(t, syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}) {
		return
	}
	leakCheck(t)
	refused(t, production, t.TempDir(), capabilities)
}

// TestWithCapabilities: what the text asks for is enough.
func TestWithCapabilities(t *testing.T) {
	if !inside(t, syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_DAC_READ_SEARCH},
	}) {
		return
	}
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d/e")
	w := start(t, quick().watch, a.root)
	w.alive("", "d", "d/e")
	must(t, w.end())
}

func TestOverlayRoot(t *testing.T) {
	if !inside(t, ownMounts) {
		return
	}
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("o")
	a.overlay("o")
	refused(t, production, a.path("o"), a.path("o"), "overlay")
	a.umount("o")
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
	gate := newGate()
	gate.close()
	tn := quick()
	tn.probe = 10 * time.Millisecond
	tn.beforeRead = gate.pass
	time.AfterFunc(500*time.Millisecond, gate.open) // the reader has to end, too
	refused(t, tn, t.TempDir(), "reports no events")
}

func TestGroupLimit(t *testing.T) {
	if !inside(t, syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{Size: 1}},
	}) {
		return
	}
	refused(t, production, t.TempDir(), capabilities)
	must(t, os.WriteFile("/proc/sys/user/max_fanotify_groups", []byte("0"), 0o644))
	refused(t, production, t.TempDir(), "max_fanotify_groups")
}

func TestUnreadableRoot(t *testing.T) {
	if !inside(t, syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}) {
		return
	}
	root := t.TempDir()
	must(t, os.Chmod(root, 0))
	err := watchFanotify(t.Context(), root, nil, nil, newRecorder())
	if !sdk.IsMisconfigured(err) || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("got %v", err)
	}
}
