package guard

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fixture is a source, its guard, and what is remembered of it.
type fixture struct {
	*testing.T
	dir, root string
	config    Config
	guard     *Guard
	memory    Source
}

func newFixture(t *testing.T) *fixture {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, dir: dir, root: filepath.Join(dir, "root")}
	f.config = Config{Sync: "site", Root: f.root, Delete: true, Remember: func(s Source) { f.memory = s }}
	f.restart()
	return f
}

// restart begins anew with what is remembered, as a file would give it back.
func (f *fixture) restart() {
	f.Helper()
	text, err := json.Marshal(f.memory)
	f.must(err)
	f.config.Known = Source{}
	f.must(json.Unmarshal(text, &f.config.Known))
	f.must(f.config.Known.Valid())
	f.guard = Open(f.config)
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) file(name string) {
	f.Helper()
	f.must(os.WriteFile(filepath.Join(f.root, name), nil, 0o600))
}

// mkdir makes the source with a file in it.
func (f *fixture) mkdir() {
	f.Helper()
	f.must(os.MkdirAll(f.root, 0o700))
	f.file("file")
}

func (f *fixture) ok() {
	f.Helper()
	if err := f.guard.Check(); err != nil {
		f.Fatalf("held: %v", err)
	}
	if f.memory.Held != nil {
		f.Fatalf("still remembered as held: %v", f.memory.Held)
	}
}

// held checks for a hold, before and after a restart.
func (f *fixture) held(kind Kind, texts ...string) {
	f.Helper()
	var since time.Time
	for i := range 2 {
		err := f.guard.Check()
		hold, ok := errors.AsType[*Hold](err)
		if !ok || hold.Kind != kind {
			f.Fatalf("got %v, want a hold of kind %s", err, kind)
		}
		for _, text := range texts {
			if !strings.Contains(err.Error(), text) {
				f.Fatalf("%q is not in: %v", text, err)
			}
		}
		if f.memory.Held == nil || f.memory.Held.Kind != kind {
			f.Fatalf("remembered: %+v", f.memory.Held)
		}
		if i == 0 {
			since = hold.Since
			f.restart()
		} else if !hold.Since.Equal(since) {
			f.Fatalf("since %s, after a restart since %s", since, hold.Since)
		}
	}
}

// mount mounts something on the source until it is unmounted or the tests end.
func (f *fixture) mount(args ...string) {
	f.Helper()
	if os.Geteuid() != 0 {
		f.Skip("needs root to mount")
	}
	f.must(os.MkdirAll(f.root, 0o700))
	f.run("mount", append(args, f.root)...)
	root := f.root
	f.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
}

func (f *fixture) unmount() {
	f.Helper()
	f.must(unix.Unmount(f.root, 0))
}

func (f *fixture) run(name string, args ...string) {
	f.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		f.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func TestMissingAndBack(t *testing.T) {
	f := newFixture(t)
	f.held(Missing, f.root+" does not exist", "filewatch approve site")
	f.mkdir()
	f.ok()
	f.guard.Compared(40123)
	away := filepath.Join(f.dir, "away")
	f.must(os.Rename(f.root, away))
	f.held(Missing, "40,123 entries")
	f.must(os.Rename(away, f.root))
	f.ok()
	f.restart()
	f.ok()
	if n := f.guard.Entries(); n != 40123 {
		t.Errorf("%d entries remembered", n)
	}
}

func TestReplaced(t *testing.T) {
	f := newFixture(t)
	f.mkdir()
	f.ok()
	away := filepath.Join(f.dir, "away")
	f.must(os.Rename(f.root, away))

	f.must(os.WriteFile(f.root, nil, 0o600))
	f.held(NotDirectory)
	f.must(os.Remove(f.root))

	f.must(unix.Mkfifo(f.root, 0o600)) // opening it must not wait for a writer
	f.held(NotDirectory)
	f.must(os.Remove(f.root))

	f.must(os.Symlink("nowhere", f.root))
	f.held(Missing)
	f.must(os.Remove(f.root))

	f.must(os.Symlink("root", f.root)) // to itself
	f.held(Unreadable, "too many levels of symbolic links")
	f.must(os.Remove(f.root))

	f.must(os.Symlink("away", f.root)) // the same directory by a link
	f.ok()
	f.restart()
	f.ok()
	f.must(os.Remove(f.root))

	f.must(os.Mkdir(f.root, 0o700))
	f.held(Replaced, "it is empty")
	f.file("file")
	f.held(Replaced, "not the directory it was", "filewatch approve site")
	f.must(os.RemoveAll(f.root))
	f.must(os.Rename(away, f.root))
	f.ok()
}

func TestRetargetedLink(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"v1", "v2"} {
		f.must(os.Mkdir(filepath.Join(f.dir, name), 0o700))
		f.must(os.WriteFile(filepath.Join(f.dir, name, "file"), nil, 0o600))
	}
	f.must(os.Symlink("v1", f.root))
	f.ok()
	f.must(os.Remove(f.root))
	f.must(os.Symlink("v2", f.root))
	f.held(Replaced, "it leads to "+f.dir+"/v2, and led to "+f.dir+"/v1")
	f.must(os.Remove(f.root))
	f.must(os.Symlink("v1", f.root))
	f.ok()
}

// TestInodeReused: a directory that was made anew and got the same inode number is another one, whether
// the kernel tells handles or only births.
func TestInodeReused(t *testing.T) {
	for _, test := range []struct {
		name    string
		tmpfs   bool
		without func(*Identity)
	}{
		{"handle", false, func(id *Identity) { id.Born = 0 }},
		{"birth", false, func(id *Identity) { id.Handle = "" }},
		{"tmpfs", true, func(*Identity) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			if test.tmpfs {
				f.mount("-t", "tmpfs", "none")
				f.root = filepath.Join(f.root, "sub")
				f.config.Root = f.root
			}
			f.config.Look = looker{newDisk(), test.without}
			f.restart()
			f.mkdir()
			f.ok()
			was := f.memory.Identity
			// ext4 gives the number out again at once, when nobody else makes a directory at that moment;
			// tmpfs counts on.
			reused := false
			for range 100 {
				f.must(os.RemoveAll(f.root))
				waitForBirth(t, f.dir, was.Born)
				f.mkdir()
				seen, err := f.config.Look.Look(f.root, func(string, bool) bool { return false })
				f.must(err)
				reused = reused || seen.Identity.Inode == was.Inode
				f.held(Replaced)
				if reused {
					break
				}
			}
			t.Logf("inode %d was reused: %v", was.Inode, reused)
		})
	}
}

// waitForBirth waits until new inodes are later than one: the kernel's clock for them ticks every few
// milliseconds.
func waitForBirth(t *testing.T, dir string, born int64) {
	t.Helper()
	for range 1000 {
		name, err := os.MkdirTemp(dir, "tick")
		if err != nil {
			t.Fatal(err)
		}
		seen, err := newDisk().Look(name, func(string, bool) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if seen.Identity.Born == 0 || seen.Identity.Born > born {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the file system's clock stands still")
}

// looker changes what another one tells.
type looker struct {
	Looker
	change func(*Identity)
}

func (l looker) Look(root string, ignored func(string, bool) bool) (Sight, error) {
	s, err := l.Looker.Look(root, ignored)
	l.change(&s.Identity)
	return s, err
}

func TestEmptied(t *testing.T) {
	f := newFixture(t)
	f.config.Ignored = func(name string, dir bool) bool { return dir && name == ".git" }
	f.restart()
	f.must(os.MkdirAll(filepath.Join(f.root, ".git"), 0o700)) // not transferred: the source is as good as empty
	f.must(os.Mkdir(filepath.Join(f.root, "lost+found"), 0o700))
	f.held(Empty, "nothing is known of it", "whatever is at the destination")
	f.file("file")
	f.ok()
	f.guard.Compared(7)
	f.must(os.Remove(filepath.Join(f.root, "file")))
	f.held(Empty, "7 entries")
	if hold, err := f.guard.Approve(); err != nil || hold.Kind != Empty {
		t.Fatalf("approved %v, %v", hold, err)
	}
	f.ok()
	f.restart()
	f.ok()
	if n := f.guard.Entries(); n != 7 {
		t.Errorf("%d entries, want what the budget is to be measured by", n)
	}
	f.file("file")
	f.ok()
	f.must(os.Remove(filepath.Join(f.root, "file")))
	f.held(Empty) // one approval is for once
}

func TestEmptyWithoutAsking(t *testing.T) {
	f := newFixture(t)
	f.config.MayEmpty = true
	f.restart()
	f.must(os.Mkdir(f.root, 0o700))
	f.held(Empty, "nothing is known of it") // that may be a disk that is not mounted
	f.file("file")
	f.ok()
	f.must(os.Remove(filepath.Join(f.root, "file")))
	f.ok()
	f.must(os.Remove(f.root))
	f.must(os.Mkdir(f.root, 0o700))
	f.held(Replaced)
}

func TestEmptyWithoutDeletions(t *testing.T) {
	f := newFixture(t)
	f.config.Delete = false
	f.restart()
	f.must(os.Mkdir(f.root, 0o700))
	f.ok()
}

func TestAnotherSourceInTheConfiguration(t *testing.T) {
	f := newFixture(t)
	f.mkdir()
	f.ok()
	f.root = filepath.Join(f.dir, "other")
	f.config.Root = f.root
	f.restart()
	f.mkdir()
	f.ok()
	if f.memory.Path != Path(f.root) || f.memory.Entries != 0 {
		t.Errorf("remembered %+v", f.memory)
	}
}

func TestApprove(t *testing.T) {
	f := newFixture(t)
	refused := func(text string) {
		t.Helper()
		if hold, err := f.guard.Approve(); err == nil || !strings.Contains(err.Error(), text) {
			t.Fatalf("approved %v, %v; want an error with %q", hold, err, text)
		}
	}
	refused("not held")
	f.held(Missing)
	refused("nothing to approve")
	f.mkdir()
	refused("not held") // it came by itself
	f.ok()
	was := f.memory.Identity
	f.must(os.Rename(f.root, f.root+"1"))
	f.mkdir()
	f.held(Replaced)
	f.must(os.Rename(f.root, f.root+"2"))
	f.mkdir()
	refused("changed meanwhile") // what was seen is not what would be approved
	f.must(os.Remove(filepath.Join(f.root, "file")))
	refused("changed meanwhile") // all that was in it would be deleted
	f.file("file")
	refused("changed meanwhile")
	hold, err := f.guard.Approve()
	if err != nil || hold.Kind != Replaced {
		t.Fatalf("approved %v, %v", hold, err)
	}
	f.ok()
	f.restart()
	f.ok()
	if f.memory.Identity.same(was) {
		t.Error("the former directory is still the source")
	}
	f.must(os.RemoveAll(f.root))
	f.must(os.Rename(f.root+"1", f.root))
	f.held(Replaced) // now the former one is another
}

func TestUnmounted(t *testing.T) {
	f := newFixture(t)
	f.root = filepath.Join(f.dir, "my disk", "root") // a name that must be quoted
	f.config.Root = f.root
	f.restart()
	f.mount("-t", "tmpfs", "disk")
	f.file("file")
	f.ok()
	f.unmount()
	f.held(Unmounted, "nothing is mounted on "+f.root+", where disk (tmpfs) was", "`mount '"+f.root+"'`")
	f.file("left behind") // below the mount point there is something
	f.held(Unmounted)
	f.mount("-t", "tmpfs", "disk") // a new one: the old one's contents are gone
	f.held(Replaced, "another file system is mounted on "+f.root, "it is empty")
	f.file("file")
	f.held(Replaced)
	if _, err := f.guard.Approve(); err != nil {
		t.Fatal(err)
	}
	f.ok()
}

func TestUnmountedBelow(t *testing.T) {
	f := newFixture(t)
	top := f.root
	f.mount("-t", "tmpfs", "disk")
	f.root = filepath.Join(top, "sub")
	f.config.Root = f.root
	f.restart()
	f.mkdir()
	f.ok()
	f.must(unix.Unmount(top, 0))
	f.held(Unmounted, "`mount "+top+"`")
}

func TestBindMount(t *testing.T) {
	f := newFixture(t)
	disk := filepath.Join(f.dir, "disk")
	f.must(os.Mkdir(disk, 0o700))
	f.must(os.WriteFile(filepath.Join(disk, "file"), nil, 0o600))
	f.mount("--bind", disk)
	f.ok()
	f.unmount()
	f.held(Unmounted)
	f.mount("--bind", disk)
	f.ok()
	f.mount("--bind", f.root) // once more over itself, as systemd's sandboxing does
	f.ok()
	f.restart()
	f.ok()
}

// TestDisks: the same file system is the same under another device name, and another one is another under
// the same name.
func TestDisks(t *testing.T) {
	f := newFixture(t)
	for _, image := range []string{"a", "b"} {
		f.run("truncate", "-s", "8M", filepath.Join(f.dir, image))
		f.run("mkfs.ext4", "-q", "-E", "hash_seed=00000000-0000-0000-0000-000000000001", filepath.Join(f.dir, image))
	}
	f.mount("-o", "loop", filepath.Join(f.dir, "a"))
	f.held(Empty) // lost+found does not count
	f.file("file")
	f.ok()
	was := f.memory.Identity
	if was.Type != "ext4" || was.Handle == "" {
		t.Errorf("identity %+v", was)
	}
	f.unmount()
	f.mount("-o", "loop", filepath.Join(f.dir, "b"))
	f.held(Replaced)
	f.file("file")
	f.held(Replaced)
	f.unmount()
	// Takes the first loop device, so that the next one gets another.
	other := filepath.Join(f.dir, "other")
	f.must(os.Mkdir(other, 0o700))
	f.run("mount", "-o", "loop", filepath.Join(f.dir, "b"), other)
	t.Cleanup(func() { _ = unix.Unmount(other, unix.MNT_DETACH) })
	f.mount("-o", "loop", filepath.Join(f.dir, "a"))
	f.ok()
	f.restart()
	f.ok()
	if now := f.memory.Identity; now.Mount.Source == was.Mount.Source {
		t.Logf("the device name is still %s", now.Mount.Source)
	}
}

func TestOverlay(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"lower", "upper", "work"} {
		f.must(os.Mkdir(filepath.Join(f.dir, name), 0o700))
	}
	options := "lowerdir=" + f.dir + "/lower,upperdir=" + f.dir + "/upper,workdir=" + f.dir + "/work"
	f.mount("-t", "overlay", "overlay", "-o", options)
	f.file("file")
	f.ok()
	f.unmount()
	f.held(Unmounted)
	f.mount("-t", "overlay", "overlay", "-o", options)
	f.ok()
}

func TestFUSE(t *testing.T) {
	f := newFixture(t)
	top := f.root
	disk := filepath.Join(f.dir, "disk")
	f.must(os.MkdirAll(filepath.Join(disk, "sub"), 0o700))
	f.must(os.WriteFile(filepath.Join(disk, "sub", "file"), nil, 0o600))
	bindfs := func() {
		t.Helper()
		if os.Geteuid() != 0 {
			t.Skip("needs root to mount")
		}
		f.must(os.MkdirAll(top, 0o700))
		f.run("bindfs", disk, top)
		t.Cleanup(func() { _ = unix.Unmount(top, unix.MNT_DETACH) })
	}
	bindfs()
	f.root = filepath.Join(top, "sub")
	f.config.Root = f.root
	f.restart()
	f.ok()
	f.must(unix.Unmount(top, 0))
	f.held(Unmounted, "(fuse")
	f.must(os.Mkdir(f.root, 0o700))
	f.held(Unmounted)
	f.must(os.Remove(f.root))
	bindfs()
	f.ok()
}

// TestMountsComeAndGoMeanwhile: a check that runs while mounts come and go holds or does not, but never
// takes one for the other.
func TestMountsComeAndGoMeanwhile(t *testing.T) {
	f := newFixture(t)
	f.mount("-t", "tmpfs", "first")
	f.file("file")
	f.ok()
	f.mount("-t", "tmpfs", "second") // on top of the first
	f.file("file")
	f.held(Replaced)
	f.unmount()
	f.ok()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if hold, ok := errors.AsType[*Hold](f.guard.Check()); ok && hold.Kind != Replaced {
					t.Errorf("held: %v", hold)
					return
				}
				f.guard.Compared(1)
			}
		})
	}
	was := f.memoryIdentity()
	defer wg.Wait()
	defer close(stop)
	for range 200 {
		f.must(unix.Mount("second", f.root, "tmpfs", 0, ""))
		f.file("file")
		f.must(unix.Unmount(f.root, unix.MNT_DETACH)) // not busy because of a check that is under way
	}
	if err := f.guard.Check(); err != nil {
		t.Errorf("held: %v", err)
	}
	if now := f.memoryIdentity(); now != was {
		t.Errorf("the source was %+v and is %+v", was, now)
	}
}

func (f *fixture) memoryIdentity() Identity {
	f.guard.mu.Lock()
	defer f.guard.mu.Unlock()
	return f.guard.known.Identity
}
