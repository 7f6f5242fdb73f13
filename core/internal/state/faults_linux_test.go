package state

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/core/internal/guard"
)

// saverDir is the environment variable that makes the test binary a process that saves.
const saverDir = "FILEWATCH_TEST_SAVE"

// numbered is the nth of many states, of very different lengths.
func numbered(n uint64) Sync {
	s := example(n)
	s.Destinations = append(s.Destinations, Destination{To: guard.Path("x" + strings.Repeat(strconv.FormatUint(n%10, 10), int(n*7919%20000)))})
	return s
}

// saveForever saves one state after the other and prints the number of each when it is saved.
func saveForever(path string) {
	d, err := Open(path, Owner{PID: os.Getpid(), Started: time.Now()})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	s, err := d.Load("s")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for n := s.Source.Entries + 1; ; n++ {
		if err := d.Save("s", numbered(n)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

// TestKilled: whenever the process is killed, the file holds the last state that was saved or the one that
// was being saved, and the lock is free.
func TestKilled(t *testing.T) {
	path := t.TempDir()
	last := uint64(0)
	for round := range 150 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), saverDir+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		first := true
		for lines.Scan() {
			n, err := strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				t.Fatalf("round %d: the process says %q", round, lines.Text())
			}
			last = n
			if first {
				first = false
				kill.Reset(rand.N(3 * time.Millisecond))
			}
		}
		_ = cmd.Wait()
		if first {
			t.Fatalf("round %d: nothing was saved", round)
		}
		d, err := Open(path, Owner{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		s, err := d.Load("s")
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if n := s.Source.Entries; n < last || n > last+1 || !cmp.Equal(s, numbered(n)) {
			t.Fatalf("round %d: state %d after %d was saved", round, n, last)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if got, want := names(t, path), []string{"lock", "s.json"}; !cmp.Equal(got, want) {
			t.Fatalf("round %d: files %v", round, got)
		}
	}
	t.Logf("%d states", last)
}

// small mounts a file system of 64 KiB.
func small(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill writes a file until the file system is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	mount := small(t)
	path := filepath.Join(mount, "dir")
	d := open(t, path)
	if err := d.Save("s", example(1)); err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(mount, "fill"))
	for range 3 {
		if err := d.Save("s", numbered(2)); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("on a full disk: %v", err)
		}
	}
	if s, err := d.Load("s"); err != nil || !cmp.Equal(s, example(1)) {
		t.Errorf("%+v, %v", s, err)
	}
	if got, want := names(t, path), []string{"lock", "s.json"}; !cmp.Equal(got, want) {
		t.Errorf("files %v", got)
	}
	if err := os.Remove(filepath.Join(mount, "fill")); err != nil {
		t.Fatal(err)
	}
	if err := d.Save("s", numbered(2)); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	mount := small(t)
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("", mount, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY)
	d, err := Open(filepath.Join(mount, "dir"), Owner{})
	if !errors.Is(err, unix.EROFS) {
		t.Fatalf("%v, %v", d, err)
	}
	if err := d.Save("s", example(1)); !errors.Is(err, unix.EROFS) {
		t.Errorf("saved: %v", err)
	}
	remount(0)
	if err := d.Save("s", example(1)); err != nil {
		t.Errorf("once it is writable: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	// What is there can still be read, by one at a time.
	remount(unix.MS_RDONLY)
	d = open(t, filepath.Join(mount, "dir"))
	if s, err := d.Load("s"); err != nil || !cmp.Equal(s, example(1)) {
		t.Errorf("%+v, %v", s, err)
	}
	if _, ok := errors.AsType[*InUseError](second(t, filepath.Join(mount, "dir"))); !ok {
		t.Error("two have the same directory")
	}
	// A damaged file that cannot be put aside is a first run too.
	remount(0)
	if err := os.WriteFile(filepath.Join(mount, "dir", "bad.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	remount(unix.MS_RDONLY)
	if s, err := d.Load("bad"); err == nil || !strings.Contains(err.Error(), "put aside either") || !cmp.Equal(s, Sync{}) {
		t.Errorf("%+v, %v", s, err)
	}
}

func second(t *testing.T, path string) error {
	t.Helper()
	d, err := Open(path, Owner{})
	if d != nil {
		_ = d.Close()
	}
	return err
}
