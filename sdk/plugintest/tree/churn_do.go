package tree

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The steps that operations are made of. They take whole paths, and do nothing after an error.

func (c *Churn) doRename(from, to string) {
	if c.err == nil {
		c.check(unix.Rename(from, to)) // os.Rename refuses an empty directory as its target
	}
}

func (c *Churn) doRemove(path string) {
	if c.err == nil {
		c.check(os.RemoveAll(path))
	}
}

func (c *Churn) doMkdir(path string) {
	if c.err == nil {
		c.check(os.Mkdir(path, 0o755))
	}
}

func (c *Churn) doSymlink(target, path string) {
	if c.err == nil {
		c.check(os.Symlink(target, path))
	}
}

func (c *Churn) doFifo(path string) {
	if c.err == nil {
		c.check(unix.Mkfifo(path, 0o644))
	}
}

func (c *Churn) doTimes(path string, t time.Time) {
	if c.err == nil {
		ts := unix.NsecToTimespec(t.UnixNano())
		c.check(unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
	}
}

// doCreate makes a file that does not exist, of a random size, in one or several writes.
func (c *Churn) doCreate(path string) {
	mode := os.FileMode(0o644)
	if c.rng.IntN(4) == 0 {
		mode = 0o600
	}
	data := c.data(c.size())
	c.doWrite(path, os.O_CREATE|os.O_EXCL, mode, func(f *os.File) error {
		for half := len(data) / 2; half > 0 && c.rng.IntN(2) == 0; half = len(data) / 2 {
			if _, err := f.Write(data[:half]); err != nil {
				return err
			}
			data = data[half:]
		}
		_, err := f.Write(data)
		return err
	})
}

// doWrite opens a file for writing and closes it after write.
func (c *Churn) doWrite(path string, flags int, mode os.FileMode, write func(*os.File) error) {
	if c.err != nil {
		return
	}
	// Non-blocking and not following, whatever is there.
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|flags, mode)
	if err != nil {
		c.check(err)
		return
	}
	c.check(write(f))
	c.check(f.Close())
}

// doFill makes up to four entries in the new directory dir: files, and a directory with one file.
func (c *Churn) doFill(dir string) {
	for i := range c.rng.IntN(4) {
		name := dir + "/" + c.names[i*3+c.rng.IntN(3)] // each name once: there are nine plain ones
		if i > 0 || c.rng.IntN(2) == 0 {
			c.doCreate(name)
			continue
		}
		c.doMkdir(name)
		c.doCreate(name + "/" + c.name())
	}
}

// size returns the size of a new file: mostly small, sometimes 0, sometimes more than one block.
func (c *Churn) size() int {
	switch c.rng.IntN(16) {
	case 0, 1:
		return 0
	case 2:
		return c.rng.IntN(64 << 10)
	case 3, 4, 5:
		return c.rng.IntN(5000)
	}
	return 1 + c.rng.IntN(64)
}

// data returns n random bytes.
func (c *Churn) data(n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, c.rng.Uint64())
	}
	return b[:n]
}

// temp returns a path in the directory of the entry at that no other operation uses.
func (c *Churn) temp(at string) string {
	return c.in(parent(at)) + "/" + c.once(".tmp-")
}

// once returns a name that it never returned before.
func (c *Churn) once(prefix string) string {
	c.serial++
	return fmt.Sprintf("%s%d", prefix, c.serial)
}
