package tree_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// base makes a tree with one entry of each kind, the same each time.
func base(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	must(t, os.Mkdir(root+"/dir", 0o755))
	must(t, os.WriteFile(root+"/dir/file", []byte("content"), 0o644))
	must(t, os.WriteFile(root+"/file", []byte("content"), 0o644))
	must(t, os.WriteFile(root+"/other", []byte("content"), 0o644))
	must(t, os.Symlink("file", root+"/link"))
	must(t, os.Symlink("dir", root+"/dirlink"))
	must(t, unix.Mkfifo(root+"/fifo", 0o644))
	must(t, unix.Mknod(root+"/socket", unix.S_IFSOCK|0o644, 0))
	if os.Geteuid() == 0 {
		must(t, unix.Mknod(root+"/char", unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3))))
		must(t, unix.Mknod(root+"/block", unix.S_IFBLK|0o644, int(unix.Mkdev(7, 200))))
	}
	settle(t, root)
	return root
}

// settle gives everything below root the same time.
func settle(t *testing.T, root string) {
	t.Helper()
	must(t, filepath.WalkDir(root, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return setTime(p, 1e18)
	}))
}

func setTime(path string, ns int64) error {
	ts := unix.NsecToTimespec(ns)
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

func TestDiffFinds(t *testing.T) {
	write := func(name, content string) func(string) error {
		return func(root string) error { return os.WriteFile(root+name, []byte(content), 0o644) }
	}
	again := func(name string, create func(string) error) func(string) error {
		return func(root string) error {
			if err := os.RemoveAll(root + name); err != nil {
				return err
			}
			return create(root + name)
		}
	}
	mknod := func(mode uint32, dev uint64) func(string) error {
		return func(p string) error { return unix.Mknod(p, mode, int(dev)) }
	}
	symlink := func(target string) func(string) error {
		return func(p string) error { return os.Symlink(target, p) }
	}
	tests := []struct {
		name   string
		change func(root string) error
		want   string // the only line, with the changed tree as b
		asRoot bool
	}{
		{"missing file", func(r string) error { return os.Remove(r + "/file") }, `"file": only in a: file`, false},
		{"missing directory", func(r string) error { return os.RemoveAll(r + "/dir") }, `"dir": only in a: directory
"dir/file": only in a: file`, false},
		{"additional file", write("/new\n\xff", ""), `"new\n\xff": only in b: file`, false},
		{"decomposed name", write("/cafe\u0301", ""), `"cafe\u0301": only in b: file`, false},
		{"size", write("/file", "contents"), `"file": size a 7 b 8`, false},
		{"content", write("/file", "CONTENT"), `"file": content differs (7 bytes, a ed7002b4… b 65f23e22…)`, false},
		{"content below", write("/dir/file", "CONTENT"), `"dir/file": content differs (7 bytes, a ed7002b4… b 65f23e22…)`, false},
		{"mode", func(r string) error { return os.Chmod(r+"/file", 0o645) }, `"file": mode a 0644 b 0645`, false},
		{"directory mode", func(r string) error { return os.Chmod(r+"/dir", 0o700) }, `"dir": mode a 0755 b 0700`, false},
		{"root mode", func(r string) error { return os.Chmod(r, 0o700) }, `"": mode a 0755 b 0700`, false},
		{"fifo mode", func(r string) error { return os.Chmod(r+"/fifo", 0o600) }, `"fifo": mode a 0644 b 0600`, false},
		{"setuid", func(r string) error { return unix.Chmod(r+"/file", 0o4644) }, `"file": mode a 0644 b 4644`, false},
		{"setgid", func(r string) error { return unix.Chmod(r+"/dir", 0o2755) }, `"dir": mode a 0755 b 2755`, false},
		{"sticky", func(r string) error { return unix.Chmod(r+"/dir", 0o1755) }, `"dir": mode a 0755 b 1755`, false},
		{"uid", func(r string) error { return os.Lchown(r+"/file", 7, -1) }, `"file": uid a 0 b 7`, true},
		{"gid of a symlink", func(r string) error { return os.Lchown(r+"/link", -1, 7) }, `"link": gid a 0 b 7`, true},
		{"file time", func(r string) error { return setTime(r+"/file", 1e18+1) },
			`"file": mtime a 2001-09-09T01:46:40.000000000Z b 2001-09-09T01:46:40.000000001Z`, false},
		{"directory time", func(r string) error { return setTime(r+"/dir", 1e18+1) },
			`"dir": mtime a 2001-09-09T01:46:40.000000000Z b 2001-09-09T01:46:40.000000001Z`, false},
		{"symlink time", func(r string) error { return setTime(r+"/link", 1e18-1) },
			`"link": mtime a 2001-09-09T01:46:40.000000000Z b 2001-09-09T01:46:39.999999999Z`, false},
		{"root time", func(r string) error { return setTime(r, 1e18+1) },
			`"": mtime a 2001-09-09T01:46:40.000000000Z b 2001-09-09T01:46:40.000000001Z`, false},
		{"target", again("/link", symlink("./file")), `"link": target a "file" b "./file"`, false},
		{"device number", again("/char", mknod(unix.S_IFCHR|0o644, unix.Mkdev(1, 5))), `"char": device a 0x103 b 0x105`, true},
		{"kind of device", again("/char", mknod(unix.S_IFBLK|0o644, unix.Mkdev(1, 3))), `"char": type a character device b block device`, true},
		{"fifo for file", again("/file", mknod(unix.S_IFIFO|0o644, 0)), `"file": type a file b fifo`, false},
		{"socket for fifo", again("/fifo", mknod(unix.S_IFSOCK|0o644, 0)), `"fifo": type a fifo b socket`, false},
		{"symlink for file", again("/other", symlink("file")), `"other": type a file b symlink`, false},
		{"symlink for directory", func(r string) error {
			if err := os.Rename(r+"/dir", r+"/dir2"); err != nil {
				return err
			}
			return os.Symlink("dir2", r+"/dir")
		}, `"dir": type a directory b symlink
"dir/file": only in a: file
"dir2": only in b: directory
"dir2/file": only in b: file`, false},
		{"directory for symlink", again("/dirlink", func(p string) error { return os.Mkdir(p, 0o755) }),
			`"dirlink": type a symlink b directory`, false},
	}
	for _, tt := range tests {
		if tt.asRoot && os.Geteuid() != 0 {
			continue // only root can make such a difference
		}
		t.Run(tt.name, func(t *testing.T) {
			a, b := base(t), base(t)
			mustEqual(t, a, b, tree.Options{HardLinks: true})
			must(t, tt.change(b))
			// Keep to the one change, but for those of times.
			if !strings.HasSuffix(tt.name, " time") {
				settle(t, b)
			}
			d, err := tree.Diff(a, b, tree.Options{})
			must(t, err)
			head := fmt.Sprintf("a: %q (", a)
			_, lines, _ := strings.Cut(strings.TrimSuffix(d, "\n"), "\nb: ")
			_, lines, _ = strings.Cut(lines, "\n")
			if !strings.HasPrefix(d, head) || lines != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", d, tt.want)
			}
			if reverse, err := tree.Diff(b, a, tree.Options{}); err != nil || reverse == "" {
				t.Errorf("found only one way round, or %v", err)
			}
		})
	}
}

func TestDiffOptions(t *testing.T) {
	a, b := base(t), base(t)
	must(t, os.Remove(b+"/other"))
	must(t, os.Link(b+"/file", b+"/other"))
	settle(t, b)
	mustEqual(t, a, b, tree.Options{})
	d, err := tree.Diff(a, b, tree.Options{HardLinks: true})
	must(t, err)
	if !strings.Contains(d, `"file": hard link to a "" b "file"`) || !strings.Contains(d, `"other": hard link to a "" b "file"`) {
		t.Errorf("hard links:\n%s", d)
	}
	must(t, os.Remove(a+"/other"))
	must(t, os.Link(a+"/file", a+"/other"))
	settle(t, a)
	mustEqual(t, a, b, tree.Options{HardLinks: true})

	must(t, setTime(b+"/dir", 5))
	mustEqual(t, a, b, tree.Options{IgnoreTimes: true})

	must(t, os.WriteFile(b+"/dir/more", nil, 0o644))
	must(t, os.Chmod(b, 0o700))
	var asked []string
	mustEqual(t, a, b, tree.Options{Ignore: func(p string) bool {
		asked = append(asked, p)
		return p == "dir" || p == ""
	}})
	for _, p := range asked {
		if strings.HasPrefix(p, "dir/") {
			t.Errorf("asked for %q below what is ignored", p)
		}
	}
}

func TestDiffIsBounded(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for i := range 100 {
		must(t, os.WriteFile(fmt.Sprintf("%s/%03d", b, i), nil, 0o644))
	}
	d, err := tree.Diff(a, b, tree.Options{IgnoreTimes: true})
	must(t, err)
	if strings.Count(d, "only in b") != 40 || !strings.HasSuffix(d, "\n… and 60 more\n") {
		t.Errorf("got:\n%s", d)
	}
}

func TestReadErrors(t *testing.T) {
	if _, err := tree.Read(t.TempDir() + "/no"); err == nil || !strings.Contains(err.Error(), "read tree") {
		t.Errorf("a missing root: %v", err)
	}
	file := t.TempDir() + "/file"
	must(t, os.WriteFile(file, nil, 0o644))
	if _, err := tree.Diff(file, file, tree.Options{}); err == nil {
		t.Error("no error for a root that is a file")
	}
}

// TestReadLongPaths has a tree deeper than any path that the kernel takes.
func TestReadLongPaths(t *testing.T) {
	make := func() string {
		root := t.TempDir()
		fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(t, err)
		for range 30 {
			name := strings.Repeat("d", 255)
			must(t, unix.Mkdirat(fd, name, 0o755))
			sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
			must(t, err)
			must(t, unix.Close(fd))
			fd = sub
		}
		end, err := unix.Openat(fd, "end", unix.O_CREAT|unix.O_WRONLY, 0o644)
		must(t, err)
		must(t, unix.Close(end))
		must(t, unix.Close(fd))
		return root
	}
	a, b := make(), make()
	mustEqual(t, a, b, tree.Options{IgnoreTimes: true})
	got, err := tree.Read(a)
	must(t, err)
	if len(got) != 32 {
		t.Errorf("%d entries", len(got))
	}
}

// TestReadWhileChanging must neither fail nor hang, say on a fifo.
func TestReadWhileChanging(t *testing.T) {
	root, _ := newRoot(t)
	c := tree.NewChurn(1, root, tree.ChurnOptions{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				c.Step()
			}
		}
	})
	for range 300 {
		if _, err := tree.Read(root); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	wg.Wait()
}

// fatal is a testing.TB that keeps what ends the test.
type fatal struct {
	testing.TB
	text string
}

func (f *fatal) Helper() {}

func (f *fatal) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// ends returns the text with which check ends its test, or "".
func ends(check func(testing.TB)) string {
	var f fatal
	var wg sync.WaitGroup
	wg.Go(func() { check(&f) })
	wg.Wait()
	return f.text
}

func TestWaitEqual(t *testing.T) {
	a, b := base(t), base(t)
	wait := func(timeout time.Duration) string {
		return ends(func(t testing.TB) { tree.WaitEqual(t, a, b, timeout, tree.Options{}) })
	}
	if text := wait(0); text != "" {
		t.Errorf("equal trees: %s", text)
	}
	// A difference in nothing but content counts, and one that goes away in time does not.
	must(t, os.WriteFile(b+"/file", []byte("CONTENT"), 0o644))
	settle(t, b)
	if text := wait(30 * time.Millisecond); !strings.Contains(text, `"file": content differs`) {
		t.Errorf("content: %s", text)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(20 * time.Millisecond)
		if err := os.WriteFile(b+"/file", []byte("content"), 0o644); err != nil {
			t.Error(err)
		}
		settle(t, b)
	})
	if text := wait(30 * time.Second); text != "" {
		t.Errorf("mended: %s", text)
	}
	wg.Wait()
	must(t, os.Rename(b, b+".away"))
	if text := wait(0); !strings.Contains(text, "no such file") {
		t.Errorf("missing: %s", text)
	}
	must(t, os.Rename(b+".away", b))
}

func TestHostileNames(t *testing.T) {
	names := tree.HostileNames()
	dir := t.TempDir()
	for _, name := range names {
		if len(name) > 255 || strings.ContainsAny(name, "/\x00") || name == "" || name == "." || name == ".." {
			t.Errorf("%q is no name", name)
		}
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
	}
	got, err := tree.Read(dir)
	must(t, err)
	if len(got) != len(names)+1 {
		t.Errorf("%d names gave %d entries", len(names), len(got)-1)
	}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(data, []byte(name)) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
