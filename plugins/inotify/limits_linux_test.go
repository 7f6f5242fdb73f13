package inotify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	"github.com/filewatch/filewatch/sdk"
)

// quick is production with less patience.
func quick() tuning {
	tn := production
	tn.tidy, tn.check, tn.retry = 10*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	return tn
}

// settled waits until exactly the paths are unwatched.
func (w *watched) settled(paths ...string) (reason string) {
	w.t.Helper()
	w.eventually(func() string {
		var got []string
		got, reason = w.unwatched()
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
	if !inside(t, syscall.CLONE_NEWUSER) {
		return
	}
	leakCheck(t)
	a := area{t, t.TempDir(), t.TempDir()}
	for i := range 10 {
		a.mkdir(fmt.Sprintf("%d/a/b", i))
	}
	setLimit(t, "max_inotify_watches", 20)
	w := start(t, quick().watch, a.root)
	var paths []string
	var reason string
	w.eventually(func() string {
		if paths, reason = w.unwatched(); len(paths) == 0 {
			return "nothing is unwatched"
		}
		return ""
	})
	blind := sdk.Change{}
	dirs := 0
	for _, d := range a.tree() {
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
	if dirs != 31-20 {
		t.Errorf("%d directories are unwatched: %q", dirs, paths)
	}
	blind.Path = paths[0]

	// A rename takes what is not watched along.
	top, rest, _ := strings.Cut(blind.Path, "/")
	a.mv(top, "renamed")
	w.eventually(func() string {
		got, _ := w.unwatched()
		if want := relpath.Join("renamed", rest); !slices.Contains(got, strings.TrimSuffix(want, "/")) {
			return fmt.Sprintf("%q is not in %q", want, got)
		}
		return ""
	})
	mark := w.mark()
	setLimit(t, "max_inotify_watches", 100)
	if reason := w.settled(); reason != "" {
		t.Errorf("a reason %q for nothing", reason)
	}
	got, _ := w.unwatched()
	w.covers(mark, append(got, "renamed/"+rest)...)
	w.alive(a.tree()...)
}

// TestNoWatchAtAll starts with the limit used up.
func TestNoWatchAtAll(t *testing.T) {
	if !inside(t, syscall.CLONE_NEWUSER) {
		return
	}
	a := area{t, t.TempDir(), t.TempDir()}
	a.mkdir("d/e")
	setLimit(t, "max_inotify_watches", 0)
	w := start(t, quick().watch, a.root)
	if reason := w.settled(""); !strings.Contains(reason, "the root needs one") || !strings.Contains(reason, "sysctl -w user.max_inotify_watches=") {
		t.Errorf("reason %q", reason)
	}
	setLimit(t, "max_inotify_watches", 10)
	w.settled()
	w.covers(0, "", "d/e/f")
	w.alive(a.tree()...)
	a.rm("")
	<-w.done
	if !sdk.IsRootLost(w.err) {
		t.Errorf("got %v", w.err)
	}
}

func TestInstanceLimit(t *testing.T) {
	if !inside(t, syscall.CLONE_NEWUSER) {
		return
	}
	setLimit(t, "max_inotify_instances", 0)
	err := watchInotify(context.Background(), t.TempDir(), nil, nil, newRecorder())
	if !sdk.IsMisconfigured(err) || !strings.Contains(err.Error(), "sysctl -w user.max_inotify_instances=") {
		t.Errorf("got %v", err)
	}
}

func TestFileLimit(t *testing.T) {
	if !inside(t, 0) {
		return
	}
	root := t.TempDir()
	var before unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}))
	err := watchInotify(context.Background(), root, nil, nil, newRecorder())
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
	if !sdk.IsMisconfigured(err) || !strings.Contains(err.Error(), "LimitNOFILE=") {
		t.Errorf("got %v", err)
	}
}

// TestUnreadable runs as a user that may not read everything.
func TestUnreadable(t *testing.T) {
	if !inside(t, 0) {
		return
	}
	root := t.TempDir()
	const nobody = 65534
	must(t, os.Chown(root, nobody, nobody))
	must(t, os.Chmod(filepath.Dir(root), 0o755))
	must(t, syscall.Setresuid(nobody, nobody, 0))
	t.Cleanup(func() { must(t, syscall.Setresuid(0, 0, 0)) })
	a := area{t, root, ""}
	a.mkdir("closed/d/e", "noenter/d", "open/d")
	must(t, os.Chmod(root+"/closed", 0))
	must(t, os.Chmod(root+"/noenter", 0o600))
	tn := quick()
	tn.retry = time.Hour // it must heal because of the event
	w := start(t, tn.watch, root)
	reason := w.settled("closed", "noenter/d")
	if !strings.Contains(reason, "permission denied") {
		t.Errorf("reason %q", reason)
	}
	w.alive("open/d", "open")
	mark := w.mark()
	must(t, os.Chmod(root+"/closed", 0o755))
	w.settled("noenter/d")
	w.covers(mark, "closed/d/e/f")
	must(t, os.Chmod(root+"/noenter", 0o755))
	w.settled()
	w.covers(mark, "noenter/d/f")
	w.alive(a.tree()...)

	// A directory that becomes unreadable is noticed when something in it has to be looked at.
	must(t, os.Chmod(root+"/open", 0o300))
	a.mkdir("open/new/deep")
	w.covers(mark, "open/new")
	must(t, os.Chmod(root+"/open", 0o755))
	w.settled()
	w.alive(a.tree()...)

	must(t, os.Chmod(root, 0))
	err := watchInotify(context.Background(), root, nil, nil, newRecorder())
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
