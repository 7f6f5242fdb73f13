package watchertest

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/relpath"
	trees "github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// Churn makes random changes. Others may change the tree too, so whatever fails is left undone.
type Churn struct {
	*rand.Rand
	Root, Out string
	Links     bool // make hard links; a write through a name that is not watched does not tell of the others
	// Gone is given each file that was written by a name which by then is gone, or has left the tree.
	Gone func(ino uint64)
}

var churnNames = append([]string{"a", "b", "c", "d", "x", "y", "m.skip"}, trees.HostileNames()[:6]...)

func (c Churn) name() string { return churnNames[c.IntN(len(churnNames))] }

// path returns a path of up to four names; few names make for many collisions.
func (c Churn) path() string {
	p := c.Root
	for range 1 + c.IntN(4) {
		p += "/" + c.name()
	}
	return p
}

// existing returns a path that exists, if it finds one.
func (c Churn) existing() string {
	p := c.Root
	for range 1 + c.IntN(4) {
		entries, _ := os.ReadDir(p)
		if len(entries) == 0 {
			break
		}
		p += "/" + entries[c.IntN(len(entries))].Name()
	}
	if p == c.Root {
		return c.path()
	}
	return p
}

// Step does one operation.
func (c Churn) Step() {
	outside := c.Out + "/" + strconv.Itoa(c.IntN(3))
	switch c.IntN(17) {
	case 0, 1:
		_ = os.MkdirAll(c.path(), 0o755)
	case 2:
		p := c.path()
		_ = os.MkdirAll(p, 0o755)
		c.write(p+"/"+c.name(), anew, "deep")
	case 3, 4:
		c.write(c.path(), anew, strconv.Itoa(c.Int()))
	case 5:
		c.write(c.existing(), os.O_APPEND, "more")
	case 6, 7, 8:
		_ = unix.Rename(c.existing(), c.path())
	case 9:
		_ = unix.Rename(c.existing(), c.existing())
	case 10:
		_ = unix.Renameat2(unix.AT_FDCWD, c.existing(), unix.AT_FDCWD, c.existing(), unix.RENAME_EXCHANGE)
	case 11:
		_ = os.RemoveAll(c.existing())
	case 12:
		_ = unix.Rename(c.existing(), outside)
	case 13:
		_ = unix.Rename(outside, c.path())
	case 14:
		_ = os.Symlink(c.Root, c.path())
	case 15:
		c.link()
	case 16:
		p := c.existing()
		if info, err := os.Lstat(p); err == nil && info.Mode().Type() != fs.ModeSymlink {
			_ = os.Chmod(p, 0o700|fs.FileMode(c.IntN(64)))
		}
	}
}

const anew = os.O_CREATE | os.O_TRUNC

func (c Churn) write(p string, flags int, text string) {
	f, err := os.OpenFile(p, os.O_WRONLY|flags, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteString(text)
	var file, now unix.Stat_t
	name, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", f.Fd()))
	_, below := relpath.Below(name, c.Root)
	if unix.Fstat(int(f.Fd()), &file) == nil && (!below || unix.Lstat(name, &now) != nil || now.Ino != file.Ino) {
		c.Gone(file.Ino)
	}
}

// link gives a file another name, and perhaps writes to it by that name, which is then perhaps gone at once.
func (c Churn) link() {
	p := c.path()
	if !c.Links || os.Link(c.existing(), p) != nil || c.IntN(2) == 0 {
		return
	}
	c.write(p, os.O_APPEND, "linked")
	switch c.IntN(4) {
	case 0:
		_ = os.Remove(p)
	case 1:
		_ = os.WriteFile(p+".tmp", nil, 0o644)
		_ = os.Rename(p+".tmp", p)
	case 2:
		_ = os.Rename(p, c.Out+"/"+strconv.Itoa(c.IntN(3)))
	}
}
