package inotify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/plugins/internal/watchertest"
	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/isolate"
)

// quick is production with less watchertest.Patience.
func quick() tuning {
	tn := production
	tn.tidy, tn.check, tn.retry = 10*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	return tn
}

// settled waits until exactly the paths are unwatched.
func settled(w *watchertest.Watched, paths ...string) (reason string) {
	w.T.Helper()
	w.Eventually(func() string {
		var got []string
		got, reason = w.Blind()
		if !slices.Equal(got, paths) {
			return fmt.Sprintf("unwatched are %q, want %q: %s", got, paths, reason)
		}
		return ""
	})
	return reason
}

// TestWatchLimit reaches the limit, in a user namespace: what is watched stays watched, the rest is
// named with the remedy, and all is well once the limit is raised.
func TestWatchLimit(t *testing.T) {
	if !isolate.Run(t, isolate.OwnUser) {
		return
	}
	watchertest.LeakCheck(t)
	a := watchertest.NewArea(t)
	for i := range 10 {
		a.Mkdir(fmt.Sprintf("%d/a/b", i))
	}
	setLimit(t, "max_inotify_watches", 20)
	w := watchertest.Start(t, quick().watch, a.Root)
	var paths []string
	var reason string
	w.Eventually(func() string {
		if paths, reason = w.Blind(); len(paths) == 0 {
			return "nothing is unwatched"
		}
		return ""
	})
	blind := sdk.Change{}
	dirs := 0
	for _, d := range a.Dirs() {
		if slices.ContainsFunc(paths, func(p string) bool { return sdk.Change{Path: p, Scope: sdk.ScopeSubtree}.Covers(d) }) {
			dirs++
		}
	}
	for _, part := range []string{
		"user.max_inotify_watches = 20", fmt.Sprintf("%d more directories", dirs),
		"`sysctl -w user.max_inotify_watches=64`", "`echo user.max_inotify_watches=64 > /etc/sysctl.d/60-filewatch.conf`",
	} {
		if !strings.Contains(reason, part) {
			t.Errorf("reason %q lacks %q", reason, part)
		}
	}
	if dirs != 31-19 { // one watch is for barriers
		t.Errorf("%d directories are unwatched: %q", dirs, paths)
	}
	blind.Path = paths[0]

	// A rename takes what is not watched along.
	top, rest, _ := strings.Cut(blind.Path, "/")
	a.Move(top, "renamed")
	w.Eventually(func() string {
		got, _ := w.Blind()
		if want := relpath.Join("renamed", rest); !slices.Contains(got, strings.TrimSuffix(want, "/")) {
			return fmt.Sprintf("%q is not in %q", want, got)
		}
		return ""
	})
	mark := w.Mark()
	setLimit(t, "max_inotify_watches", 100)
	if reason := settled(w); reason != "" {
		t.Errorf("a reason %q for nothing", reason)
	}
	got, _ := w.Blind()
	w.Covers(mark, append(got, "renamed/"+rest)...)
	w.Alive(a.Dirs()...)
}

// TestNoWatchAtAll starts with the limit used up.
func TestNoWatchAtAll(t *testing.T) {
	if !isolate.Run(t, isolate.OwnUser) {
		return
	}
	a := watchertest.NewArea(t)
	a.Mkdir("d/e")
	setLimit(t, "max_inotify_watches", 0)
	w := watchertest.Start(t, quick().watch, a.Root)
	if reason := settled(w, ""); !strings.Contains(reason, "the root needs one") || !strings.Contains(reason, "sysctl -w user.max_inotify_watches=") {
		t.Errorf("reason %q", reason)
	}
	setLimit(t, "max_inotify_watches", 10)
	settled(w)
	w.Covers(0, "", "d/e/f")
	w.Alive(a.Dirs()...)
	a.Remove("")
	<-w.Done
	if !sdk.IsRootLost(w.Err) {
		t.Errorf("got %v", w.Err)
	}
}

func TestInstanceLimit(t *testing.T) {
	if !isolate.Run(t, isolate.OwnUser) {
		return
	}
	setLimit(t, "max_inotify_instances", 0)
	err := watchInotify(context.Background(), t.TempDir(), nil, nil, watchertest.NewRecorder())
	if !sdk.IsMisconfigured(err) || !strings.Contains(err.Error(), "sysctl -w user.max_inotify_instances=128`") {
		t.Errorf("got %v", err)
	}
}

func TestFileLimit(t *testing.T) {
	if !isolate.Run(t, syscall.SysProcAttr{}) {
		return
	}
	root := t.TempDir()
	var before unix.Rlimit
	watchertest.Must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	watchertest.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}))
	err := watchInotify(context.Background(), root, nil, nil, watchertest.NewRecorder())
	watchertest.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
	if !sdk.IsMisconfigured(err) || !strings.Contains(err.Error(), "LimitNOFILE=") {
		t.Errorf("got %v", err)
	}
}

// TestUnreadable runs as a user that may not read everything.
func TestUnreadable(t *testing.T) {
	if !isolate.Run(t, syscall.SysProcAttr{}) {
		return
	}
	root := t.TempDir()
	const nobody = 65534
	watchertest.Must(t, os.Chown(root, nobody, nobody))
	watchertest.Must(t, os.Chmod(filepath.Dir(root), 0o755))
	watchertest.Must(t, syscall.Setresuid(nobody, nobody, 0))
	t.Cleanup(func() { watchertest.Must(t, syscall.Setresuid(0, 0, 0)) })
	a := watchertest.Area{T: t, Root: root}
	a.Mkdir("closed/d/e", "noenter/d", "open/d")
	watchertest.Must(t, os.Chmod(root+"/closed", 0))
	watchertest.Must(t, os.Chmod(root+"/noenter", 0o600))
	tn := quick()
	tn.retry = time.Hour // it must heal because of the event
	w := watchertest.Start(t, tn.watch, root)
	reason := settled(w, "closed", "noenter/d")
	if !strings.Contains(reason, "permission denied") {
		t.Errorf("reason %q", reason)
	}
	w.Alive("open/d", "open")
	mark := w.Mark()
	watchertest.Must(t, os.Chmod(root+"/closed", 0o755))
	settled(w, "noenter/d")
	w.Covers(mark, "closed/d/e/f")
	watchertest.Must(t, os.Chmod(root+"/noenter", 0o755))
	settled(w)
	w.Covers(mark, "noenter/d/f")
	w.Alive(a.Dirs()...)

	// A directory that becomes unreadable is noticed when something in it has to be looked at.
	watchertest.Must(t, os.Chmod(root+"/open", 0o300))
	a.Mkdir("open/new/deep")
	w.Covers(mark, "open/new")
	watchertest.Must(t, os.Chmod(root+"/open", 0o755))
	settled(w)
	w.Alive(a.Dirs()...)

	watchertest.Must(t, os.Chmod(root, 0))
	err := watchInotify(context.Background(), root, nil, nil, watchertest.NewRecorder())
	if !sdk.IsMisconfigured(err) || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("got %v", err)
	}
}

func TestRoomy(t *testing.T) {
	got := []int64{roomy(1), roomy(8200), roomy(192536 + 50000), roomy(1 << 20)}
	if diff := cmp.Diff([]int64{2, 16384, 524288, 2097152}, got); diff != "" {
		t.Error(diff)
	}
}

// setLimit sets a limit of the user namespace.
func setLimit(t *testing.T, name string, value int) {
	t.Helper()
	watchertest.Must(t, os.WriteFile("/proc/sys/user/"+name, []byte(strconv.Itoa(value)), 0o644))
}
